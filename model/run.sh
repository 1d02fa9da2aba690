#!/bin/sh
# Checks the protocols' models, offset.pml and sweep.pml: the true ones have to hold, each
# mutant has to be refuted, each witness has to be reached. Exits 1 when
# anything is not as expected.
#
#   run.sh              all of it
#   run.sh trail        names of the runs of which there is a trail
#   run.sh trail NAME   replays NAME's trail as sentences
#   run.sh try DEFS     checks one more variant, e.g. run.sh try "-DTASKS=1 -DFAULTS=4"
#   run.sh try-sweep DEFS   the same of sweep.pml
#
# Needs spin and a C compiler (CC, default cc). Writes into model/out only.
# MEMORY (MiB, default 4000) bounds a check.
set -eu

cd "$(dirname "$0")"
CC=${CC:-cc}
MEMORY=${MEMORY:-4000}
model=offset
failed=0

for tool in spin "$CC"; do
	command -v "$tool" >/dev/null || {
		echo "model: $tool is missing (Debian: apt-get install spin gcc)" >&2
		exit 2
	}
done

# build NAME DEFS CFLAGS makes out/NAME/pan.
build() {
	rm -rf "out/$1"
	mkdir -p "out/$1"
	echo "$2" >"out/$1/defs"
	echo "$model" >"out/$1/model"
	# Words of DEFS and CFLAGS are arguments of their own.
	# shellcheck disable=SC2086
	(cd "out/$1" && spin $2 -a "../../$model.pml" >spin.txt && $CC -w -O2 "-DMEMLIM=$MEMORY" $3 -o pan pan.c) || {
		echo "model: building $1 failed" >&2
		exit 2
	}
}

# search NAME PANFLAGS runs it; what it found is in out/NAME/pan.txt.
search() {
	# shellcheck disable=SC2086
	(cd "out/$1" && ./pan -m100000 $2 >pan.txt 2>&1) || true
}

# A search counts only when it was exhaustive.
complete() {
	grep -q 'errors: 0' "out/$1/pan.txt" &&
		! grep -Eq 'not completed|max search depth too small|out of memory|memory limit' "out/$1/pan.txt"
}

states() {
	sed -nE 's/^ *([0-9]+) states, stored.*/\1/p' "out/$1/pan.txt"
}

say() { # VERDICT NAME TEXT
	printf '%-10s %-26s %s\n' "$1" "$2" "$3"
}

wrong() {
	failed=1
	say "$@"
}

# holds NAME DEFS: no assertion fails in any state.
holds() {
	build "$1" "$2" "-DSAFETY"
	search "$1" "-w24"
	if complete "$1"; then
		say holds "$1" "$(states "$1") states: $2"
	else
		wrong BROKEN "$1" "see model/out/$1/pan.txt, model/run.sh trail $1"
	fi
}

# ends NAME DEFS: no execution goes on for ever. Nothing in the model is marked
# as progress, so every cycle is one without.
ends() {
	build "$1" "$2" "-DNP"
	search "$1" "-l -w24"
	if complete "$1"; then
		say ends "$1" "no endless execution: $2"
	else
		wrong BROKEN "$1" "see model/out/$1/pan.txt, model/run.sh trail $1"
	fi
}

# fails NAME DEFS: an assertion fails; of all trails a short one is kept.
fails() {
	build "$1" "$2" "-DSAFETY -DREACH"
	search "$1" "-i -w20"
	grep -q 'assertion violated' "out/$1/pan.txt" && [ -e "out/$1/$model.pml.trail" ]
}

refuted() { # NAME DEFS
	if fails "$1" "$2"; then
		say refuted "$1" "$(replay "$1" | grep -cE '^(w| +t)[0-9]') steps, model/run.sh trail $1"
	else
		wrong UNREFUTED "$1" "$2"
	fi
}

reached() { # NAME NUMBER [FAULTS [DEFS]]
	if fails "$1" "${4:--DTASKS=1} -DFAULTS=${3:-1} -DCHECK=0 -DWITNESS=$2"; then
		say reached "$1" "model/run.sh trail $1"
	else
		wrong UNREACHED "$1" "the model is too idle"
	fi
}

endless() { # NAME DEFS
	build "$1" "$2" "-DNP"
	search "$1" "-l -w20"
	if grep -q 'non-progress cycle' "out/$1/pan.txt"; then
		say refuted "$1" "endless, model/run.sh trail $1"
	else
		wrong UNREFUTED "$1" "$2"
	fi
}

replay() {
	# shellcheck disable=SC2046
	(cd "out/$1" && spin $(cat defs) -k "$(cat model).pml.trail" -T "../../$(cat model).pml") | grep -v 'find claim'
}

case ${1:-all} in
all) ;;
trail)
	if [ $# -eq 1 ]; then
		for t in out/*/*.pml.trail; do
			[ -e "$t" ] && basename "$(dirname "$t")"
		done
		exit 0
	fi
	[ -e "out/$2/model" ] && [ -e "out/$2/$(cat "out/$2/model").pml.trail" ] || {
		echo "model: no trail of $2; model/run.sh trail lists those there are" >&2
		exit 2
	}
	replay "$2"
	exit 0
	;;
try)
	holds try "${2:-}"
	exit $failed
	;;
try-sweep)
	model=sweep
	holds try "${2:-}"
	exit $failed
	;;
*)
	sed -n '2,/^set/s/^# \{0,1\}//p' run.sh >&2
	exit 2
	;;
esac

# The numbers in CHECK, MUTATION and WITNESS are those of offset.pml, and further
# below of sweep.pml.

# I1, I2, I3, I6 in all states, and all rows published wherever all stands still.
holds true-2-tasks "-DWORKERS=2 -DTASKS=2 -DROWS=3 -DFAULTS=2"
holds true-3-workers "-DWORKERS=3 -DTASKS=1 -DROWS=4 -DFAULTS=3"
holds true-many-faults "-DWORKERS=2 -DTASKS=1 -DROWS=3 -DFAULTS=5"
# So with the above: every execution comes to stand still, all published.
ends ends-2-tasks "-DWORKERS=2 -DTASKS=2 -DROWS=3 -DFAULTS=1"
ends ends-many-faults "-DWORKERS=2 -DTASKS=1 -DROWS=3 -DFAULTS=4"

reached takeover 1
reached unknown-committed 2
reached unknown-aborted 3
reached zombie-fenced 4
reached late-commit 5
reached late-refused 6 2
reached owner-fenced 7
reached half-visible 8
reached handed-over 9
reached all-done 10

one="-DTASKS=1 -DFAULTS=1"
refuted read-before-fence-I6 "$one -DMUTATION=1 -DCHECK=8"
refuted read-before-fence-I3 "$one -DMUTATION=1 -DCHECK=4"
refuted read-before-fence-I2 "$one -DMUTATION=1 -DCHECK=2"
refuted no-reload-I6 "$one -DMUTATION=2 -DCHECK=8"
refuted position-apart-I1 "$one -DMUTATION=3 -DCHECK=1"
refuted position-apart-I6 "$one -DMUTATION=3 -DCHECK=8"
holds no-confirm-safe "-DTASKS=1 -DFAULTS=3 -DMUTATION=4"
endless no-confirm "$one -DMUTATION=4"
refuted old-epochs-I3 "$one -DMUTATION=5 -DCHECK=4"
refuted old-epochs-I6 "$one -DMUTATION=5 -DCHECK=8"
refuted old-broker-I1 "-DTASKS=1 -DFAULTS=1 -DMUTATION=6 -DCHECK=1"
refuted old-broker-I6 "-DTASKS=1 -DFAULTS=2 -DMUTATION=6 -DCHECK=8"

model=sweep

# I8 in all states, and all swept wherever all stands still.
holds sweep-2-rows "-DROWS=2 -DWRITES=2 -DFAULTS=2"
holds sweep-many-faults "-DROWS=1 -DWRITES=3 -DFAULTS=4"
ends sweep-ends "-DROWS=2 -DWRITES=1 -DFAULTS=1"

small="-DROWS=1 -DWRITES=1"
reached sweep-replayed 1 1 "$small"
reached sweep-raced 2 1 "$small"
reached sweep-changed 3 1 "$small"
reached sweep-zombie 4 1 "$small"
reached sweep-anew 5 1 "$small"
reached sweep-lost-audit 6 1 "$small"
reached sweep-all-done 7 1 "$small"

small="$small -DFAULTS=1"
refuted sweep-before-commit "$small -DMUTATION=1 -DCHECK=2"
refuted no-audit "$small -DMUTATION=2 -DCHECK=4"
refuted no-journal-once "$small -DMUTATION=3 -DCHECK=1"
refuted no-journal-done "$small -DMUTATION=3 -DCHECK=8"
refuted other-id "$small -DMUTATION=4 -DCHECK=4"
refuted stale-pass "$small -DMUTATION=5 -DCHECK=1"

if [ $failed -ne 0 ]; then
	echo "model: not as expected" >&2
fi
exit $failed
