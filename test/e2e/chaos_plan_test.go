package e2e

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// faultKind is what can go wrong.
type faultKind string

const (
	workerKill   faultKind = "worker SIGKILL"
	workerPause  faultKind = "worker SIGSTOP"
	workerLeave  faultKind = "worker leaves" // SIGTERM, and comes back
	workerJoin   faultKind = "worker joins"  // and leaves
	replan       faultKind = "tasks.max changes"
	brokerKill   faultKind = "broker SIGKILL"
	brokerPause  faultKind = "broker SIGSTOP"
	tserverKill  faultKind = "tablet server SIGKILL"
	tserverPause faultKind = "tablet server SIGSTOP"
	wayCut       faultKind = "connections cut"
	wayRefuse    faultKind = "connections refused"
	wayStall     faultKind = "bytes held up"
	wayMute      faultKind = "answers lost"
	wayDelay     faultKind = "bytes delayed"
)

// chaosKinds say how often each happens, and how long it lasts at most.
var chaosKinds = []struct {
	kind    faultKind
	weight  int
	longest time.Duration
}{
	{workerKill, 8, 4 * time.Second},
	{workerPause, 5, 6 * time.Second},
	{workerLeave, 3, 4 * time.Second},
	{workerJoin, 3, 6 * time.Second},
	{replan, 2, 0},
	{brokerKill, 2, 2 * time.Second},
	{brokerPause, 1, 3 * time.Second},
	{tserverKill, 3, 4 * time.Second},
	{tserverPause, 2, 4 * time.Second},
	{wayCut, 5, 0},
	{wayRefuse, 2, 3 * time.Second},
	{wayStall, 3, 4 * time.Second},
	{wayMute, 4, 3 * time.Second},
	{wayDelay, 3, 4 * time.Second},
}

// way is which proxy a fault of the network is at.
type way int

const (
	toKafka way = iota
	toMaster
	toTabletServer // and more, by number
)

func (w way) String() string {
	switch w {
	case toKafka:
		return "to Kafka"
	case toMaster:
		return "to the master"
	}
	return fmt.Sprintf("to tablet server %d", w-toTabletServer)
}

const (
	chaosSlots   = 3 // workers at most
	chaosServers = 3 // tablet servers
)

// chaosFault is a fault as it is planned.
type chaosFault struct {
	kind   faultKind
	at     time.Duration // from the start of the faults
	lasts  time.Duration
	victim int // a worker's slot, or a tablet server
	way    way
	delay  time.Duration // of each piece
	// aim, if not absent, is the phase of a task that is waited for, and late is
	// how long after its start the fault comes.
	aim   phase
	late  time.Duration
	tasks int  // of replan
	scope bool // replan changes order.scope too
	hard  bool // replan and workerJoin end workers by SIGKILL
}

func (f chaosFault) String() string {
	text := fmt.Sprintf("%6.2fs %s", f.at.Seconds(), f.kind)
	switch f.kind {
	case workerKill, workerPause, workerLeave, workerJoin, tserverKill, tserverPause:
		text += fmt.Sprintf(" %d", f.victim)
	case replan:
		text += fmt.Sprintf(" to %d, scope too %t", f.tasks, f.scope)
	case wayCut, wayRefuse, wayStall, wayMute, wayDelay:
		text += " " + f.way.String()
	}
	if f.aim != absent {
		text += fmt.Sprintf(" at %s +%v", f.aim, f.late.Round(10*time.Microsecond))
	}
	return text + fmt.Sprintf(" for %v", f.lasts.Round(10*time.Millisecond))
}

// planFaults makes a schedule of so much time.
func planFaults(dice *rand.Rand, during time.Duration) []chaosFault {
	var bag []int
	for i, k := range chaosKinds {
		for range k.weight {
			bag = append(bag, i)
		}
	}
	aims := []phase{absent, absent, fencing, restoring, scanning, scanning, flushing, flushing, ending, ending}
	busy := 300 + dice.IntN(1700) // mean pause in milliseconds
	var plan []chaosFault
	for at := upTo(dice, time.Second); at < during; at += upTo(dice, 2*time.Duration(busy)*time.Millisecond) {
		k := chaosKinds[bag[dice.IntN(len(bag))]]
		f := chaosFault{
			kind: k.kind, at: at, lasts: upTo(dice, k.longest), victim: dice.IntN(chaosSlots),
			aim: aims[dice.IntN(len(aims))], late: upTo(dice, 3*time.Millisecond),
			tasks: 1 + dice.IntN(6), scope: dice.IntN(3) == 0, hard: dice.IntN(2) == 0,
			delay: time.Millisecond + upTo(dice, 60*time.Millisecond),
		}
		switch dice.IntN(6) {
		case 0:
			f.way = toMaster
		case 1, 2:
			f.way = toTabletServer + way(dice.IntN(chaosServers))
		}
		plan = append(plan, f)
	}
	return plan
}
