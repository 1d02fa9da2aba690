import java.io.IOException;
import java.util.ArrayList;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.apache.kudu.client.KuduClient;
import org.apache.kudu.client.KuduException;
import org.apache.kudu.client.KuduSession;
import org.apache.kudu.client.KuduTable;
import org.apache.kudu.client.Operation;
import org.apache.kudu.client.OperationResponse;
import org.apache.kudu.client.SessionConfiguration;

/**
 * Writes rows in order: a batch is one request per tablet, and the next batch
 * waits for all its answers. So within a tablet no row becomes visible before
 * one that was given earlier.
 */
final class Writes {
  private final KuduTable table;
  private final KuduSession session;
  private final long batch;
  private final List<Operation> pending = new ArrayList<>();

  Writes(KuduClient client, KuduTable table, long batch) {
    this.table = table;
    this.batch = batch;
    session = client.newSession();
    session.setFlushMode(SessionConfiguration.FlushMode.MANUAL_FLUSH);
    session.setMutationBufferSpace(1 << 20, 1L << 30);
  }

  /** The input {"op":"flush"} ends a batch early. */
  void run(KuduTool.Input in, Out out) throws IOException {
    for (Map<String, Object> line = in.next(); line != null; line = in.next()) {
      String op = (String) line.get("op");
      if (op.equals("flush")) {
        flush(out);
        continue;
      }
      Operation operation = operation(table, op);
      Values.set(operation.getRow(), Json.object(line.get("row")));
      apply(operation);
      if (pending.size() >= batch) {
        flush(out);
      }
    }
    if (!pending.isEmpty()) {
      flush(out);
    }
    session.close();
  }

  static Operation operation(KuduTable table, String op) {
    switch (op.toLowerCase(Locale.ROOT)) {
      case "insert":
        return table.newInsert();
      case "upsert":
        return table.newUpsert();
      case "update":
        return table.newUpdate();
      case "delete":
        return table.newDelete();
      case "insert_ignore":
        return table.newInsertIgnore();
      case "upsert_ignore":
        return table.newUpsertIgnore();
      case "update_ignore":
        return table.newUpdateIgnore();
      case "delete_ignore":
        return table.newDeleteIgnore();
      default:
        throw new IllegalArgumentException("no such operation: " + op);
    }
  }

  void apply(Operation operation) throws KuduException {
    session.apply(operation);
    pending.add(operation);
  }

  /**
   * Prints {"rows":n,"timestamp":T,"errors":[{"index":i,"status":..,"message":..}]}:
   * how many rows were written, the newest of their hybrid times, and which
   * rows of the batch failed.
   */
  @SuppressWarnings("deprecation") // RowError.getStatus: the only way to the code's name
  void flush(Out out) throws IOException {
    IdentityHashMap<Operation, Integer> indexes = new IdentityHashMap<>();
    for (int i = 0; i < pending.size(); i++) {
      indexes.put(pending.get(i), i);
    }
    long timestamp = 0;
    int rows = 0;
    StringBuilder separator = new StringBuilder();
    List<OperationResponse> failed = new ArrayList<>();
    for (OperationResponse response : session.flush()) {
      if (response.hasRowError()) {
        failed.add(response);
      } else {
        rows++;
        timestamp = Math.max(timestamp, response.getWriteTimestampRaw());
      }
    }
    out.raw("{\"rows\":").number(rows).raw(",\"timestamp\":").number(timestamp).raw(",\"errors\":[");
    for (OperationResponse response : failed) {
      out.raw(separator.toString()).raw("{\"index\":");
      out.number(indexes.get(response.getRowError().getOperation()));
      out.raw(",\"status\":").string(response.getRowError().getStatus());
      out.raw(",\"message\":").string(response.getRowError().getErrorStatus().toString()).raw('}');
      separator.setLength(0);
      separator.append(',');
    }
    out.raw("]}").line();
    out.flush();
    pending.clear();
  }

  int pending() {
    return pending.size();
  }
}
