import java.io.IOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.kudu.client.KuduClient;
import org.apache.kudu.client.KuduException;
import org.apache.kudu.client.KuduSession;
import org.apache.kudu.client.KuduTable;
import org.apache.kudu.client.Operation;
import org.apache.kudu.client.RowError;
import org.apache.kudu.client.SessionConfiguration;

/**
 * Fills tables. Row n of a kind and seed is always the same, whoever makes it:
 * by default its time is the base plus n steps.
 */
final class Generator {
  private static final long PROGRESS_NANOS = 1_000_000_000L;
  private static final int BLOCK = 10_000; // rows that a thread takes at a time

  private final KuduClient client;
  private final KuduTable table;
  private final Kind kind;
  private final String op;
  private final long rows;
  private final long start;
  private final long rate;
  private final long seed;
  private final long batch;
  private final long baseMicros;
  private final long stepMicros;
  private final boolean clock;
  private long lastMicros;

  static void run(KuduClient client, String name, KuduTool.Arguments args, Out out) throws Exception {
    Kind kind = Kind.valueOf(args.text("kind", "narrow").toUpperCase(java.util.Locale.ROOT));
    int buckets = (int) args.number("buckets", 4);
    int replicas = (int) args.number("replicas", 1);
    if (args.flag("create") && !client.tableExists(name)) {
      Map<String, Object> spec = new HashMap<>(Json.object(Json.parse(kind.table)));
      spec.put("name", name);
      spec.put("replicas", (long) replicas);
      if (buckets > 1) {
        spec.put("hash", List.of(Map.of("columns", List.of("id"), "buckets", (long) buckets)));
      }
      Tables.create(client, spec);
    }
    boolean ordered = args.flag("ordered");
    long threads = args.number("threads", Math.max(2, Runtime.getRuntime().availableProcessors()));
    Generator generator = new Generator(client, client.openTable(name), kind, args);
    args.done();
    if (ordered || generator.rate > 0 || generator.clock) {
      generator.inOrder(out);
    } else {
      generator.quickly((int) threads, out);
    }
  }

  private Generator(KuduClient client, KuduTable table, Kind kind, KuduTool.Arguments args) {
    this.client = client;
    this.table = table;
    this.kind = kind;
    op = args.text("op", "insert");
    rows = args.number("rows", 1_000_000);
    start = args.number("start", 0);
    rate = args.number("rate", 0);
    seed = args.number("seed", 1);
    batch = args.number("batch", 1000);
    clock = args.flag("clock");
    baseMicros = args.number("base-micros", 1_767_225_600_000_000L); // 2026-01-01T00:00:00Z
    stepMicros = args.number("step-micros", 1000);
  }

  /** The row's time: from its number, or the clock's, made to rise. */
  private long time(long n) {
    if (!clock) {
      return baseMicros + n * stepMicros;
    }
    java.time.Instant now = java.time.Instant.now();
    long micros = now.getEpochSecond() * 1_000_000 + now.getNano() / 1000;
    lastMicros = Math.max(micros, lastMicros + 1);
    return lastMicros;
  }

  private Operation operation(long n) {
    Operation operation = Writes.operation(table, op);
    if (!op.startsWith("delete")) {
      kind.fill(operation.getRow(), time(n), n, new Kind.Noise(seed, n));
      return operation;
    }
    Operation whole = table.newInsert();
    kind.fill(whole.getRow(), time(n), n, new Kind.Noise(seed, n));
    for (int i = 0; i < table.getSchema().getPrimaryKeyColumnCount(); i++) {
      operation.getRow().addObject(i, whole.getRow().getObject(i));
    }
    return operation;
  }

  /** Batches of at most 20 ms of rows, each written before the next. */
  private void inOrder(Out out) throws IOException, InterruptedException {
    Writes writes = new Writes(client, table, batch);
    long size = rate > 0 ? Math.max(1, Math.min(batch, rate / 50)) : batch;
    long began = System.nanoTime();
    for (long done = 0; done < rows; ) {
      long count = Math.min(size, rows - done);
      if (rate > 0) {
        // When the last row of the batch is due, so that none comes early.
        long due = began + (long) ((done + count) * 1e9 / rate);
        for (long wait = due - System.nanoTime(); wait > 0; wait = due - System.nanoTime()) {
          Thread.sleep(wait / 1_000_000, (int) (wait % 1_000_000));
        }
      }
      for (long i = 0; i < count; i++) {
        writes.apply(operation(start + done + i));
      }
      writes.flush(out);
      done += count;
    }
  }

  /** Several sessions that flush in the background, in no order. */
  private void quickly(int threads, Out out) throws Exception {
    AtomicLong next = new AtomicLong();
    AtomicLong written = new AtomicLong();
    List<Exception> failures = new ArrayList<>();
    List<Thread> workers = new ArrayList<>();
    for (int i = 0; i < threads; i++) {
      Thread worker = new Thread(() -> {
        try {
          fill(next, written);
        } catch (Exception e) {
          synchronized (failures) {
            failures.add(e);
          }
          next.set(rows); // the others need not go on
        }
      });
      worker.start();
      workers.add(worker);
    }
    for (Thread worker : workers) {
      while (worker.isAlive()) {
        worker.join(PROGRESS_NANOS / 1_000_000);
        if (worker.isAlive()) {
          progress(written.get(), out);
        }
      }
    }
    progress(written.get(), out);
    if (!failures.isEmpty()) {
      throw failures.get(0);
    }
  }

  /** Prints how many rows there are since the start. */
  private void progress(long total, Out out) throws IOException {
    out.raw("{\"total\":").number(total);
    out.raw(",\"timestamp\":").number(Math.max(0, client.getLastPropagatedTimestamp())).raw('}').line();
    out.flush();
  }

  private void fill(AtomicLong next, AtomicLong written) throws KuduException {
    KuduSession session = client.newSession();
    session.setFlushMode(SessionConfiguration.FlushMode.AUTO_FLUSH_BACKGROUND);
    session.setMutationBufferSpace(8000, 64L << 20);
    for (long from = next.getAndAdd(BLOCK); from < rows; from = next.getAndAdd(BLOCK)) {
      long to = Math.min(rows, from + BLOCK);
      for (long n = from; n < to; n++) {
        session.apply(operation(start + n));
      }
      check(session);
      written.addAndGet(to - from);
    }
    session.flush();
    check(session);
    session.close();
  }

  private static void check(KuduSession session) {
    if (session.countPendingErrors() > 0) {
      RowError error = session.getPendingErrors().getRowErrors()[0];
      throw new IllegalArgumentException("writing a row: " + error);
    }
  }
}
