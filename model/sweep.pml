/*
 * Mode sweep's protocol (I8), as a model for spin.
 *
 * README.md says what is modelled, what is left out and how to read a trail;
 * run.sh says which variants are checked and what is expected of each. Names in
 * brackets are the functions of package connector that a step stands for. Every
 * step is a d_step: between any two of them every other process, and so every
 * fault, can come.
 *
 * How a transaction commits is the matter of offset.pml. Here it commits in one
 * step, or its outcome is unknown.
 */

#ifndef ROWS
#define ROWS 2		/* of the queue, all of them due */
#endif
#ifndef WRITES
#define WRITES 2	/* how often the queue's producers change it */
#endif
#ifndef FAULTS
#define FAULTS 2	/* how many faults an execution may have, of all kinds together */
#endif
#define WORKERS 2
#define IDS (ROWS + WRITES + FAULTS + 2)	/* journals, and so request ids */

/* What a build checks: any sum of these. */
#define ONCE 1		/* I8: no version of a row becomes visible twice */
#define AFTER 2		/* I8: what is swept was published, and that is committed */
#define KEPT 4		/* the last version of a row that was swept is visible in the end */
#define DONE 8		/* in the end all is swept, and the journal is empty */
#ifndef CHECK
#define CHECK (ONCE+AFTER+KEPT+DONE)
#endif
#define check(what, c)	assert(!(CHECK & (what)) || (c))

/*
 * Mutations, one at a time.
 *   SWEEP_FIRST     rows are swept before the transaction with their records and
 *                   the journal commits
 *   NO_AUDIT        what a row was just before its sweep is not looked at
 *   NO_JOURNAL      a new run doesn't finish the journal
 *   OTHER_ID        a new run sweeps under a request id of its own
 *   STALE_PASS      a pass reads at a former leader, which shows what was swept
 */
#ifndef MUTATION
#define MUTATION 0
#endif
#define SWEEP_FIRST 1
#define NO_AUDIT 2
#define NO_JOURNAL 3
#define OTHER_ID 4
#define STALE_PASS 5
#define mutated(m)	(MUTATION == (m))

/* Events that the true model has to reach. */
#ifndef WITNESS
#define WITNESS 0
#endif
#define REPLAYED 1	/* a write that was carried out for another run is answered as then */
#define RACED 2		/* a row was changed between the look and the write: published anew */
#define CHANGED 3	/* ... before the look: left where it is */
#define ZOMBIE 4	/* a write comes late, after its rows' journal was deleted, and does nothing */
#define ANEW 5		/* a row that was inserted anew under a swept key is published */
#define LOST_AUDIT 6	/* a successor audits what its predecessor swept, a changed row */
#define ALL_DONE 7	/* all is done although every fault and every change has happened */
#define witness(n, c)	assert(WITNESS != (n) || !(c))

/* ---- State ---- */

byte faults = FAULTS;	/* left */
byte writes = WRITES;	/* left */

#define bit(n)	(1 << (n))

/* The table. Versions of a row are numbered from 1, over all its lives. */
byte cur[ROWS];		/* the version that is there; 0: none */
byte last[ROWS];	/* the newest there was */
byte lives[ROWS];
byte owed[ROWS];	/* versions (bit set) that were swept before they were visible */

/* What servers remember of writes: whether a request id was carried out, and what
 * each row was just before. */
bool did[IDS];
typedef Rows { byte v[ROWS] }
Rows before[IDS];

/* Kafka, as a read_committed consumer and the next run see it. */
byte seen[ROWS];	/* versions (bit set) that are visible */
byte journal;		/* rows (bit set) */
byte versions[ROWS];	/* their published versions */
byte id;		/* the journal's request id */
byte ids = 1;		/* the next new one */
byte newest;		/* the worker whose epoch is the newest, counted from 1 */

/* A worker that is DOWN comes back. */
mtype:life = { UP, ASLEEP, DOWN }
mtype:life worker[WORKERS];
byte owner;
bool lost[WORKERS];	/* the worker's run is of a time before it lost the task */

mtype:step = { OFF, FENCE, LOAD, PASS, COMMIT, LOOK, WRITE, AUDIT }
typedef Run {
	mtype:step at;
	byte rows;		/* of its journal */
	byte version[ROWS];
	byte id;
	byte unchanged;		/* rows, as the look found them */
	bool restored
}
Run runs[WORKERS];

hidden byte i;

#define me	runs[w]
#define up	(worker[w] == UP)
#define mine	(owner == w)
#define current	(newest == w + 1)

inline over() {
	me.at = OFF;
	me.rows = 0;
	me.id = 0;
	me.unchanged = 0;
	me.restored = false;
	i = 0;
	do
	:: i < ROWS -> me.version[i] = 0; i++
	:: else -> break
	od;
	skip
}

/* The rows and their journal are committed. Only now does its request id, which is
 * random in truth, get a number. */
inline publish() {
	me.id = ids;
	ids++;
	i = 0;
	do
	:: i < ROWS ->
		if
		:: me.rows & bit(i) ->
			check(ONCE, !(seen[i] & bit(me.version[i])));
			seen[i] = seen[i] | bit(me.version[i]);
			witness(ANEW, lives[i] > 1);
			versions[i] = me.version[i]
		:: else -> versions[i] = 0
		fi;
		i++
	:: else -> break
	od;
	journal = me.rows;
	id = me.id
}

/* A server carries the write out, or knows that it has. */
inline sweep() {
	if
	:: did[me.id] ->
		witness(REPLAYED, me.restored);
		witness(ZOMBIE, !current && id != me.id)
	:: else ->
		did[me.id] = true;
		i = 0;
		do
		:: i < ROWS ->
			if
			:: (me.unchanged & bit(i)) && cur[i] != 0 ->
				check(AFTER, seen[i] & bit(me.version[i]));
				before[me.id].v[i] = cur[i];
				if
				:: !(seen[i] & bit(cur[i])) -> owed[i] = owed[i] | bit(cur[i])
				:: else -> skip
				fi;
				cur[i] = 0
			:: else -> skip
			fi;
			i++
		:: else -> break
		od
	fi
}

#define changed(r)	((me.rows & bit(r)) && before[me.id].v[r] != 0 && before[me.id].v[r] != me.version[r] && !mutated(NO_AUDIT))

/* The journal is deleted, with what the audit wants published anew. */
inline clear() {
	i = 0;
	do
	:: i < ROWS ->
		if
		:: changed(i) ->
			check(ONCE, !(seen[i] & bit(before[me.id].v[i])));
			seen[i] = seen[i] | bit(before[me.id].v[i]);
			witness(RACED, 1);
			witness(LOST_AUDIT, me.restored)
		:: else -> skip
		fi;
		i++
	:: else -> break
	od;
	witness(CHANGED, me.unchanged != me.rows);
	journal = 0;
	i = 0;
	do
	:: i < ROWS -> versions[i] = 0; i++
	:: else -> break
	od;
	skip
}

/* A run goes on to its next pass. */
inline next() {
	over();
	me.at = PASS
}

proctype runner(byte w) {
end:	do
	/* [supervise, group.confirm] */
	:: d_step { up && me.at == OFF && mine && !lost[w] ->
		printf("w%d: confirmed as the owner\n", w);
		me.at = FENCE }
	/* [errLost] It notices at any later time. */
	:: d_step { up && lost[w] ->
		printf("w%d: notices that the task was lost\n", w);
		lost[w] = false;
		over() }
	/* [openProducer] */
	:: d_step { up && me.at == FENCE ->
		printf("w%d: producer opened\n", w);
		newest = w + 1;
		me.at = LOAD }
	/* [offsets.Load, sweepTask.restore] */
	:: d_step { up && me.at == LOAD ->
		printf("w%d: journal (bit set) %d loaded\n", w, journal);
		if
		:: journal == 0 || mutated(NO_JOURNAL) -> me.at = PASS
		:: else ->
			me.rows = journal;
			me.id = id;
			me.restored = true;
			i = 0;
			do
			:: i < ROWS -> me.version[i] = versions[i]; i++
			:: else -> break
			od;
			if
			:: mutated(OTHER_ID) -> me.id = ids; ids++
			:: else -> skip
			fi;
			me.at = LOOK
		fi }
	/* [picker.pass] Row by row; between two of them anything can happen, which is
	 * more than a snapshot allows. */
#define pick(r)	d_step { up && me.at == PASS && r < ROWS && !(me.rows & bit(r)) && (cur[r % ROWS] != 0 || mutated(STALE_PASS)) -> \
		me.rows = me.rows | bit(r); \
		me.version[r % ROWS] = (cur[r % ROWS] != 0 -> cur[r % ROWS] : last[r % ROWS]); \
		printf("w%d: row %d picked, version %d\n", w, r, me.version[r % ROWS]) }
	:: pick(0)
	:: pick(1)
	:: pick(2)
	/* [sweepTask.close] The rows and the journal are in the transaction (I1). */
	:: d_step { up && me.at == PASS && me.rows != 0 && ids < IDS ->
		printf("w%d: rows (bit set) %d and their journal produced\n", w, me.rows);
		me.id = (mutated(SWEEP_FIRST) -> ids : 0);
		if
		:: mutated(SWEEP_FIRST) -> me.at = LOOK
		:: else -> me.at = COMMIT
		fi }
	:: d_step { up && me.at == COMMIT && current ->
		printf("w%d: committed\n", w);
		publish();
#if MUTATION == 1
		me.at = AUDIT
#else
		me.at = LOOK
#endif
		}
	:: d_step { up && me.at == COMMIT && current && faults > 0 ->
		printf("w%d: FAULT committed, and the answer is lost\n", w);
		faults--;
		publish();
		over() }
	/* [sweeper.look] */
	:: d_step { up && me.at == LOOK ->
		me.unchanged = 0;
		i = 0;
		do
		:: i < ROWS ->
			if
			:: (me.rows & bit(i)) && cur[i] == me.version[i] -> me.unchanged = me.unchanged | bit(i)
			:: else -> skip
			fi;
			i++
		:: else -> break
		od;
		printf("w%d: looks, rows (bit set) %d are unchanged\n", w, me.unchanged);
		me.at = WRITE }
	/* [sweeper.write] No epoch guards it. */
	:: d_step { up && me.at == WRITE ->
		printf("w%d: writes under request id %d\n", w, me.id);
		sweep();
#if MUTATION == 1
		me.at = (me.restored -> AUDIT : COMMIT)
#else
		me.at = AUDIT
#endif
		}
	:: d_step { up && me.at == WRITE && faults > 0 ->
		printf("w%d: FAULT writes under request id %d, and the answer is lost\n", w, me.id);
		faults--;
		sweep();
		over() }
	/* [sweeper.settle, sweeper.explain, sweepTask.close] */
	:: d_step { up && me.at == AUDIT && current ->
		printf("w%d: audited, the journal is deleted\n", w);
		clear();
		next() }
	:: d_step { up && me.at == AUDIT && current && faults > 0 ->
		printf("w%d: FAULT the journal is deleted, and the answer is lost\n", w);
		faults--;
		clear();
		over() }
	/* [sweepTask.stillOurs] A transaction of a run that has nothing to do. */
	:: d_step { up && me.at == PASS && !current ->
		printf("w%d: is refused, though it has nothing to publish\n", w);
		over() }
	/* Any transaction of an older epoch is refused; any of the newest may abort. */
	:: d_step { up && (me.at == COMMIT || me.at == AUDIT) && (!current || faults > 0) ->
		if
		:: current -> printf("w%d: FAULT aborted\n", w); faults--
		:: else -> printf("w%d: refused\n", w)
		fi;
		over() }
	od
}

proctype machine(byte w) {
end:	do
	:: d_step { faults > 0 && worker[w] != DOWN ->
		printf("w%d: FAULT killed\n", w);
		faults--; over(); worker[w] = DOWN }
	:: d_step { faults > 0 && up ->
		printf("w%d: FAULT falls asleep\n", w);
		faults--; worker[w] = ASLEEP }
	:: d_step { !up ->
		printf("w%d: is back\n", w);
		worker[w] = UP }
	/* The group: a session timeout, or a rebalance. */
	:: d_step { mine && !up && worker[1 - w] == UP ->
		printf("   the task is given to w%d\n", 1 - w);
		lost[w] = true;
		owner = 1 - w }
	od
}

/* The queue's producers. */
proctype producers() {
end:	do
#define change(r)	d_step { writes > 0 && r < ROWS -> \
		writes--; \
		last[r % ROWS]++; \
		if \
		:: cur[r % ROWS] == 0 -> lives[r % ROWS]++ \
		:: else -> skip \
		fi; \
		cur[r % ROWS] = last[r % ROWS]; \
		printf("   row %d is written, version %d\n", r, last[r % ROWS]) }
	:: change(0)
	:: change(1)
	:: change(2)
	:: d_step { writes > 0 && cur[0] != 0 ->
		printf("   row 0 is deleted\n");
		writes--;
		cur[0] = 0 }
	od
}

init {
	byte n;
	atomic {
		do
		:: n < ROWS -> cur[n] = 1; last[n] = 1; lives[n] = 1; n++
		:: else -> break
		od;
		worker[0] = UP;
		worker[1] = UP;
		runs[0].at = OFF;
		runs[1].at = OFF;
		run producers();
		run runner(0);
		run runner(1);
		run machine(0);
		run machine(1);
		n = 0
	}
	/* When nothing can happen any more. */
end:	timeout -> d_step {
		check(DONE, journal == 0);
		do
		:: n < ROWS ->
			check(DONE, cur[n] == 0);
			check(KEPT, (owed[n] & ~seen[n]) == 0);
			n++
		:: else -> break
		od;
		witness(ALL_DONE, faults == 0 && writes == 0) }
}
