/*
 * The exactly-once protocol of offset mode, as a model for spin.
 *
 * README.md says what is modelled, what is left out and how to read a trail;
 * run.sh says which variants are checked and what is expected of each. Names
 * in brackets are the functions of package connector that a step stands for.
 * Every step is a d_step: between any two of them every other process, and so
 * every fault, can come.
 */

#ifndef WORKERS
#define WORKERS 2	/* 2 or 3 */
#endif
#ifndef TASKS
#define TASKS 2
#endif
#ifndef ROWS
#define ROWS 3		/* of each task, there from the beginning; at most 7 */
#endif
#ifndef TXROWS
#define TXROWS 2	/* transaction.max.rows */
#endif
#ifndef FAULTS
#define FAULTS 2	/* how many faults an execution may have, of all kinds together */
#endif

/* What a build checks: any sum of these. */
#define I1 1		/* rows and the position that covers them commit together */
#define I2 2		/* a position never moves back */
#define I3 4		/* only the newest epoch commits, and it knows the position */
#define I6 8		/* no row is seen twice, and in the end each is seen */
#ifndef CHECK
#define CHECK (I1+I2+I3+I6)
#endif
#define check(what, c)	assert(!(CHECK & (what)) || (c))

/*
 * Mutations, one at a time.
 *   READ_BEFORE_FENCE  positions are read, then the predecessor is fenced
 *   NO_RELOAD          an unknown outcome counts as aborted: a new epoch, but
 *                      the position that is in memory
 *   POSITION_APART     the position follows in a transaction of its own
 *   NO_CONFIRM         a run that was fenced is followed by another without
 *                      asking the group
 *   OLD_EPOCHS         the broker lets requests of older epochs through
 *   TV1                a broker with transaction.version below 2: EndTxn does
 *                      not change the epoch
 */
#ifndef MUTATION
#define MUTATION 0
#endif
#define READ_BEFORE_FENCE 1
#define NO_RELOAD 2
#define POSITION_APART 3
#define NO_CONFIRM 4
#define OLD_EPOCHS 5
#define TV1 6
#define mutated(m)	(MUTATION == (m))
#define bumpsAtEnd	(!mutated(TV1) && !mutated(OLD_EPOCHS))

/*
 * Witnesses: a build with one of them "fails" where the event is reached, and
 * has to. They show that the invariants are not those of an idle model.
 */
#ifndef WITNESS
#define WITNESS 0
#endif
#define TAKEOVER 1		/* the new owner fences a producer that is still at work */
#define UNKNOWN_COMMITTED 2	/* the reload after an unknown outcome finds it committed */
#define UNKNOWN_ABORTED 3	/* ... finds it aborted */
#define ZOMBIE_FENCED 4		/* a worker that slept has its commit refused */
#define LATE_COMMIT 5		/* an EndTxn is carried out after its sender gave it up */
#define LATE_REFUSED 6		/* ... comes too late, into the next transaction */
#define OWNER_FENCED 7		/* a worker that lost the task fences its new owner */
#define HALF_VISIBLE 8		/* one partition has its commit marker, the other not yet */
#define HANDED_OVER 9		/* a revoked task goes on at a worker that waited for it */
#define ALL_DONE 10		/* all is published although every fault has happened */
#define witness(n, c)	assert(WITNESS != (n) || !(c))

/* ---- State ---- */

byte faults = FAULTS;	/* left */

/* Kafka's side of a task: its transactional id and its two partitions. */
mtype:txn = { IDLE, OPEN, COMMITTING, ABORTING }
typedef Log {
	mtype:txn state;	/* of the transactional id */
	byte rows;		/* bit set: rows that a read_committed consumer sees */
	byte pos;		/* the position that a read_committed reader sees */
	byte openRows;		/* in the log, no marker yet */
	byte openPos;		/* the same of the position; 0: none */
	byte late		/* epoch of an EndTxn(commit) that is still on its way */
}
Log log[TASKS];

/* A worker that is DOWN comes back, one that is GONE doesn't. */
mtype:life = { UP, ASLEEP, DOWN, GONE }
mtype:life worker[WORKERS];

/* The group, as its coordinator has it. */
byte owner[TASKS];
bool revoked[TASKS];	/* the owner has been asked to give the task up */

/* A worker's run of a task. */
mtype:step = { OFF, READ, FENCE, FENCING, LOAD, SCAN, END }
typedef Run {
	mtype:step at;
	byte epoch;	/* of its producer */
	byte pos;	/* where its transaction begins */
	byte next	/* the row to produce next */
#if MUTATION == 2
	; bool keep	/* go on from pos, don't load */
#endif
#if MUTATION == 3
	; bool apart	/* the rows are committed, their position is not */
#endif
}
Run runs[WORKERS * TASKS];

#if WITNESS != 0
bool slept[WORKERS];
byte unknown[WORKERS * TASKS];	/* position in the transaction of unknown outcome */
#endif

hidden byte i;	/* for loops within a step */

#define me	runs[w * TASKS + t]
#define mine	(owner[t] == w)
#define up	(worker[w] == UP)

#define bit(r)	(1 << (r))
#define upTo(p)	(bit(p) - 1)	/* the rows that position p covers */

/* All that matters of an epoch is whether it is the newest of its transactional
 * id, so each new one makes OLD what was NEW. Numbers would only tell states
 * apart that behave alike; for who reads a trail they are counted in epoch[],
 * which is no part of the state. */
#define NONE 0
#define OLD 1
#define NEW 2
hidden byte epoch[TASKS];

/* Whether the broker takes a request of epoch e. */
#define current(e)	((e) == NEW || mutated(OLD_EPOCHS))

inline bump() {
	i = 0;
	do
	:: i < WORKERS ->
		if
		:: runs[i * TASKS + t].epoch == NEW -> runs[i * TASKS + t].epoch = OLD
		:: else -> skip
		fi;
		i++
	:: else -> break
	od;
	i = 0;
	if
	:: log[t].late == NEW -> log[t].late = OLD
	:: else -> skip
	fi;
	epoch[t]++
}

#if WORKERS > 2
#define abandoned	(runs[t].epoch != NEW && runs[TASKS + t].epoch != NEW && runs[2 * TASKS + t].epoch != NEW)
#define others		((worker[0] != GONE) + (worker[1] != GONE) + (worker[2] != GONE) > 1)
#else
#define abandoned	(runs[t].epoch != NEW && runs[TASKS + t].epoch != NEW)
#define others		(worker[1 - w] != GONE)
#endif

/* ---- Kafka: the coordinators of a task's transactions and of the group ---- */

/* EndTxn(commit) is carried out: from here on the transaction is decided. */
inline decide() {
	check(I1, log[t].openPos > log[t].pos && log[t].openRows == (upTo(log[t].openPos) & ~upTo(log[t].pos)));
	log[t].state = COMMITTING;
	if
	:: bumpsAtEnd -> bump()
	:: else -> skip
	fi
}

/* The transaction has ended when all its markers are written. */
inline finish() {
	if
	:: log[t].openRows == 0 && log[t].openPos == 0 ->
		log[t].state = IDLE;
		check(I1, log[t].rows == upTo(log[t].pos))
	:: else -> skip
	fi
}

/* A silent member's tasks go to one that lives. */
#define give(v)	worker[owner[t]] != UP && worker[v] == UP -> \
		printf("   t%d: w%d is silent, given to w%d\n", t, owner[t], v); owner[t] = v; revoked[t] = false

proctype coordinator(byte t) {
end:	do
	/* The markers reach the two partitions one after the other, in any order. */
	:: d_step { log[t].state == COMMITTING && log[t].openRows != 0 ->
		printf("   t%d: rows (bit set) %d become visible\n", t, log[t].openRows);
		check(I6, (log[t].rows & log[t].openRows) == 0);
		log[t].rows = log[t].rows | log[t].openRows;
		log[t].openRows = 0;
		witness(HALF_VISIBLE, log[t].openPos != 0);
		finish() }
	:: d_step { log[t].state == COMMITTING && log[t].openPos != 0 ->
		printf("   t%d: position %d becomes visible\n", t, log[t].openPos);
		check(I2, log[t].openPos > log[t].pos);
		log[t].pos = log[t].openPos;
		log[t].openPos = 0;
		finish() }
	/* Abort markers make nothing visible, so one step does for both. */
	:: d_step { log[t].state == ABORTING ->
		printf("   t%d: transaction aborted\n", t);
		log[t].openRows = 0;
		log[t].openPos = 0;
		log[t].state = IDLE }
	/* transaction.timeout.ms is over; a fault when somebody is still at it. */
	:: d_step { log[t].state == OPEN && (abandoned || faults > 0) ->
		if
		:: abandoned ->
			printf("   t%d: abandoned transaction times out\n", t)
		:: else ->
			printf("   t%d: FAULT transaction times out\n", t);
			faults--
		fi;
		bump();
		log[t].state = ABORTING }
	/* A delayed EndTxn arrives. */
	:: d_step { log[t].late != NONE && log[t].state == OPEN && current(log[t].late) ->
		printf("   t%d: late EndTxn is carried out\n", t);
		witness(LATE_COMMIT, 1);
		check(I3, log[t].late == NEW);
		log[t].late = NONE;
		decide() }
	:: d_step { log[t].late != NONE && (log[t].state != OPEN || !current(log[t].late)) ->
		printf("   t%d: late EndTxn is refused\n", t);
		witness(LATE_REFUSED, log[t].state == OPEN);
		log[t].late = NONE }

	/* The group: session timeouts and rebalances. */
	:: d_step { give(0) }
	:: d_step { give(1) }
#if WORKERS > 2
	:: d_step { give(2) }
#endif
	:: d_step { faults > 0 && !revoked[t] && worker[owner[t]] == UP ->
		printf("   t%d: FAULT rebalance, w%d is asked to give it up\n", t, owner[t]);
		faults--;
		revoked[t] = true }
	od
}

/* ---- A worker's run of a task ---- */

inline over() {
	me.at = OFF;
	me.epoch = NONE;
	me.pos = 0;
	me.next = 0;
#if MUTATION == 2
	me.keep = false;
#endif
#if MUTATION == 3
	me.apart = false;
#endif
	skip
}

/* [errReload] The outcome is unknown: the producer is spent, the run ends. */
inline reload() {
#if WITNESS != 0
	unknown[w * TASKS + t] = me.next;
#endif
#if MUTATION == 2
	me.at = FENCE;
	me.epoch = NONE;
	me.next = me.pos;
	me.keep = true
#else
	over()
#endif
}

/* [errFenced] */
inline fenced() {
	printf("w%d t%d: is refused, a newer epoch is %d\n", w, t, epoch[t]);
	over();
	if
	:: mutated(NO_CONFIRM) -> me.at = FENCE
	:: else -> skip
	fi
}

/* EndTxn(commit) of this run is carried out ... */
inline commit() {
	check(I3, me.epoch == NEW && me.pos == log[t].pos);
	decide()
}

/* ... and it has the answer, which brings the next epoch. */
inline committed() {
	me.epoch = NEW;
	me.at = SCAN;
#if MUTATION == 3
	me.apart = !me.apart;
	if
	:: me.apart -> skip
	:: else -> me.pos = me.next
	fi
#else
	me.pos = me.next
#endif
}

#if MUTATION == 3
#define mayProduce	(me.next < ROWS && me.next - me.pos < TXROWS && !me.apart)
#else
#define mayProduce	(me.next < ROWS && me.next - me.pos < TXROWS)
#endif
#define accepting	(log[t].state == IDLE || log[t].state == OPEN)

proctype runner(byte w; byte t) {
end:	do
	/* [supervise, group.confirm] A heartbeat says that the task is ours. From
	 * here on that may be out of date. */
	:: d_step { up && me.at == OFF && mine ->
		printf("w%d t%d: confirmed as the owner\n", w, t);
		if
		:: mutated(READ_BEFORE_FENCE) -> me.at = READ
		:: else -> me.at = FENCE
		fi }

	/* [openProducer] InitProducerID aborts what is open (the coordinator bumps
	 * the epoch for that) and is repeated until the markers are written. When
	 * another producer begins a transaction before the repetition comes, that is
	 * aborted as well. Two could do this to each other until the group's loser
	 * notices that it is: for the loser, each time counts as a fault. */
	:: d_step { up && log[t].state == OPEN &&
		(me.at == FENCE || me.at == FENCING && (mine || faults > 0)) ->
		printf("w%d t%d: InitProducerID aborts the open transaction\n", w, t);
		if
		:: me.at == FENCING && !mine -> faults--
		:: else -> skip
		fi;
		bump();
		log[t].state = ABORTING;
		me.at = FENCING }
	:: d_step { up && log[t].state == IDLE && (me.at == FENCE || me.at == FENCING) ->
#if WITNESS != 0
		witness(TAKEOVER, mine && runs[(1 - w) * TASKS + t].epoch == NEW);
		witness(OWNER_FENCED, !mine && runs[owner[t] * TASKS + t].epoch == NEW);
#endif
		bump();
		me.epoch = NEW;
		printf("w%d t%d: producer opened, epoch %d\n", w, t, epoch[t]);
#if MUTATION == 1
		me.at = SCAN
#elif MUTATION == 2
		if
		:: me.keep -> me.at = SCAN
		:: else -> me.at = LOAD
		fi;
		me.keep = false
#else
		me.at = LOAD
#endif
		}

	/* [offsets.Load] Waits for undecided positions before the partition's end. */
	:: d_step { up && (me.at == LOAD || me.at == READ) && log[t].openPos == 0 ->
#if WITNESS != 0
		witness(UNKNOWN_COMMITTED, unknown[w * TASKS + t] > 0 && log[t].pos == unknown[w * TASKS + t]);
		witness(UNKNOWN_ABORTED, unknown[w * TASKS + t] > log[t].pos);
		unknown[w * TASKS + t] = 0;
#endif
		me.pos = log[t].pos;
		me.next = log[t].pos;
		printf("w%d t%d: position %d loaded\n", w, t, me.pos);
		if
		:: me.at == READ -> me.at = FENCE
		:: else -> me.at = SCAN
		fi }

	/* [task.publish] The next row, as the transaction's limit allows. */
	:: d_step { up && me.at == SCAN && mayProduce && current(me.epoch) && accepting ->
		printf("w%d t%d: row %d produced\n", w, t, me.next);
		check(I6, !(log[t].openRows & bit(me.next)));
		log[t].state = OPEN;
		log[t].openRows = log[t].openRows | bit(me.next);
		me.next++ }

	/* [task.commit] Limit reached, timer or drained: at any time. The position
	 * goes into the transaction (I1). */
	:: d_step { up && me.at == SCAN && me.next > me.pos && current(me.epoch) && accepting ->
#if MUTATION == 3
		if
		:: me.apart ->
			printf("w%d t%d: position %d produced\n", w, t, me.next);
			log[t].state = OPEN;
			log[t].openPos = me.next
		:: else -> skip
		fi;
#else
		printf("w%d t%d: position %d produced\n", w, t, me.next);
		log[t].state = OPEN;
		log[t].openPos = me.next;
#endif
		me.at = END }

	/* [producer.end] EndTxn(commit): carried out and answered ... */
	:: d_step { up && me.at == END && current(me.epoch) && log[t].state == OPEN ->
		printf("w%d t%d: EndTxn is carried out\n", w, t);
		commit();
		committed() }
	/* ... or late, with luck still carried out (the answer is lost) and else
	 * never (the request is lost); the sender doesn't know ... */
	:: d_step { up && me.at == END && log[t].late == NONE && faults > 0 ->
		printf("w%d t%d: FAULT EndTxn is late, outcome unknown\n", w, t);
		faults--;
		log[t].late = me.epoch;
		reload() }
	/* ... or late and sent once more, which is answered. */
	:: d_step { up && me.at == END && current(me.epoch) && log[t].state == OPEN &&
		log[t].late == NONE && faults > 0 ->
		printf("w%d t%d: FAULT EndTxn is late, sent once more and carried out\n", w, t);
		faults--;
		log[t].late = me.epoch;
		commit();
		committed() }
	/* Without a new epoch, a coordinator takes it again after it is done. */
	:: d_step { up && me.at == END && !bumpsAtEnd && current(me.epoch) && log[t].state == IDLE ->
		committed() }

	/* Any request of an older epoch. */
	:: d_step { up && !current(me.epoch) &&
		(me.at == END || me.at == SCAN && (me.next > me.pos || me.next < ROWS)) ->
#if WITNESS != 0
		witness(ZOMBIE_FENCED, me.at == END && slept[w] && !mine);
#endif
		fenced() }

	/* [task.giveUp, producer.rollback] Anything else fails: a scan, an encoder,
	 * a record whose answer is lost, whether or not it is in the log. Or the
	 * group gave the task to another worker and this one notices [errLost], which
	 * is no fault of its own. EndTxn(abort) arrives, or it doesn't. */
	:: d_step { up && (me.at == SCAN || me.at == END) && (!mine || faults > 0) &&
		me.next > me.pos && current(me.epoch) && log[t].state == OPEN ->
		if
		:: mine -> printf("w%d t%d: FAULT gives up and aborts\n", w, t); faults--
		:: else -> printf("w%d t%d: notices the task is lost, aborts\n", w, t)
		fi;
		if
		:: bumpsAtEnd -> bump()
		:: else -> skip
		fi;
		log[t].state = ABORTING;
		over() }
	:: d_step { up && me.at != OFF && (!mine || faults > 0) ->
		if
		:: mine -> printf("w%d t%d: FAULT gives up\n", w, t); faults--
		:: else -> printf("w%d t%d: notices the task is lost\n", w, t)
		fi;
		over() }

	/* [errRevoked] What is open was committed; then the task is given up. */
	:: d_step { up && mine && revoked[t] && me.next == me.pos ->
		over();
		revoked[t] = false;
		if
		:: w != 0 && worker[0] == UP -> owner[t] = 0
		:: w != 1 && worker[1] == UP -> owner[t] = 1
#if WORKERS > 2
		:: w != 2 && worker[2] == UP -> owner[t] = 2
#endif
		:: else -> skip
		fi;
		witness(HANDED_OVER, !mine && log[t].pos > 0 && log[t].pos < ROWS);
		printf("w%d t%d: gives the task up, now it is w%d's\n", w, t, owner[t]) }
	od
}

/* ---- What happens to workers ---- */

/* All that a worker had in memory is lost. */
inline forget() {
	t = 0;
	do
	:: t < TASKS -> over(); t++
	:: else -> break
	od;
	t = 0
}

proctype machine(byte w) {
	byte t;
end:	do
	:: d_step { faults > 0 && (up || worker[w] == ASLEEP) ->
		printf("w%d: FAULT killed\n", w);
		faults--; forget(); worker[w] = DOWN }
	:: d_step { faults > 0 && (up || worker[w] == ASLEEP) && others ->
		printf("w%d: FAULT killed for good\n", w);
		faults--; forget(); worker[w] = GONE }
	:: d_step { worker[w] == DOWN ->
		printf("w%d: starts again\n", w);
		worker[w] = UP }
	:: d_step { faults > 0 && up ->
		printf("w%d: FAULT falls asleep\n", w);
#if WITNESS != 0
		slept[w] = true;
#endif
		faults--; worker[w] = ASLEEP }
	:: d_step { worker[w] == ASLEEP ->
		printf("w%d: wakes up\n", w);
		worker[w] = UP }
	od
}

init {
	byte n;
	atomic {
		do
		:: n < WORKERS * TASKS ->
			runs[n].at = OFF;
			run runner(n / TASKS, n % TASKS);
			n++
		:: else -> break
		od;
		n = 0;
		do
		:: n < WORKERS -> worker[n] = UP; run machine(n); n++
		:: else -> break
		od;
		n = 0;
		do
		:: n < TASKS ->
			log[n].state = IDLE;
			owner[n] = n % WORKERS;
			run coordinator(n);
			n++
		:: else -> break
		od;
		n = 0
	}
	/* I6, the other half: when nothing can happen any more, all is published. */
end:	timeout -> d_step {
		do
		:: n < TASKS ->
			check(I6, log[n].rows == upTo(ROWS));
			check(I1, log[n].pos == ROWS && log[n].state == IDLE);
			n++
		:: else -> break
		od;
		witness(ALL_DONE, faults == 0) }
}
