import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.apache.kudu.client.AsyncKuduScanner.ReadMode;
import org.apache.kudu.client.Insert;
import org.apache.kudu.client.KuduClient;
import org.apache.kudu.client.KuduScanToken;
import org.apache.kudu.client.KuduScanner;
import org.apache.kudu.client.KuduTable;
import org.apache.kudu.client.LocatedTablet;
import org.apache.kudu.client.RowResult;
import org.apache.kudu.client.RowResultIterator;

/** Reads tables, and tells which tablet holds what. */
final class Scans {
  private static final long TIMEOUT_MS = 60_000;

  private final KuduClient client;
  private final KuduTable table;

  Scans(KuduClient client, KuduTable table) {
    this.client = client;
    this.table = table;
  }

  /**
   * Prints every row, tablet by tablet, each tablet in primary key order, then
   * {"end":true,"rows":n,"snapshot":T}. A snapshot shows what was written
   * strictly before it. Without one, it is chosen behind all writes that were
   * answered before. With diff, the rows are those that changed from that
   * timestamp on, with "deleted" on each.
   */
  void read(KuduTool.Arguments args, Out out) throws IOException {
    long snapshot = args.number("snapshot", -1);
    if (snapshot < 0) {
      snapshot = now();
    }
    KuduScanToken.KuduScanTokenBuilder builder = client.newScanTokenBuilder(table);
    builder.readMode(ReadMode.READ_AT_SNAPSHOT);
    builder.setFaultTolerant(true).batchSizeBytes(4 << 20).cacheBlocks(false).scanRequestTimeout(TIMEOUT_MS);
    String columns = args.text("columns", null);
    if (columns != null) {
      builder.setProjectedColumnNames(Arrays.asList(columns.split(",")));
    }
    long diff = args.number("diff", -1);
    if (diff >= 0) {
      builder.diffScan(diff, snapshot);
    } else {
      builder.snapshotTimestampRaw(snapshot);
    }
    long rows = 0;
    for (KuduScanToken token : builder.build()) {
      rows += readTablet(token, out);
    }
    out.raw("{\"end\":true,\"rows\":").number(rows).raw(",\"snapshot\":").number(snapshot).raw('}').line();
    out.flush();
  }

  private long readTablet(KuduScanToken token, Out out) throws IOException {
    String prefix = "{\"tablet\":\"" + id(token.getTablet()) + "\",";
    KuduScanner scanner = token.intoScanner(client);
    scanner.setReuseRowResult(true);
    Values.Printer printer = new Values.Printer(scanner.getProjectionSchema());
    long rows = 0;
    while (scanner.hasMoreRows()) {
      RowResultIterator batch = scanner.nextRows();
      // Only the answer to the first request brings the column that tells what
      // was deleted into the projection.
      if (batch.getNumRows() > 0 && rows == 0) {
        printer = new Values.Printer(scanner.getProjectionSchema());
      }
      while (batch.hasNext()) {
        RowResult row = batch.next();
        rows++;
        out.raw(prefix);
        if (row.hasIsDeleted()) {
          out.raw(row.isDeleted() ? "\"deleted\":true," : "\"deleted\":false,");
        }
        out.raw("\"row\":");
        printer.print(row, out);
        out.raw('}').line();
      }
    }
    scanner.close();
    return rows;
  }

  /**
   * Returns a timestamp above that of every write that was answered before. The
   * client takes over the clock of each server it hears from, so it is enough to
   * hear from the leader of each tablet.
   */
  private long now() throws IOException {
    KuduScanToken.KuduScanTokenBuilder builder = client.newScanTokenBuilder(table);
    builder.setProjectedColumnIndexes(List.of()).limit(1).scanRequestTimeout(TIMEOUT_MS);
    for (KuduScanToken token : builder.build()) {
      KuduScanner scanner = token.intoScanner(client);
      scanner.nextRows();
      scanner.close();
    }
    return client.getLastPropagatedTimestamp() + 1;
  }

  static String id(LocatedTablet tablet) {
    return new String(tablet.getTabletId(), StandardCharsets.US_ASCII);
  }

  private List<LocatedTablet> tablets() {
    List<LocatedTablet> tablets = new ArrayList<>();
    for (KuduScanToken token : client.newScanTokenBuilder(table).build()) {
      tablets.add(token.getTablet());
    }
    return tablets;
  }

  /** Prints each tablet: its hash buckets, partition keys and replicas. */
  void locate(Out out) throws IOException {
    for (LocatedTablet tablet : tablets()) {
      out.raw("{\"tablet\":").string(id(tablet));
      out.raw(",\"hash_buckets\":").numbers(tablet.getPartition().getHashBuckets());
      out.raw(",\"lower\":").hex(tablet.getPartition().getPartitionKeyStart());
      out.raw(",\"upper\":").hex(tablet.getPartition().getPartitionKeyEnd());
      out.raw(",\"range_lower\":").hex(tablet.getPartition().getRangeKeyStart());
      out.raw(",\"range_upper\":").hex(tablet.getPartition().getRangeKeyEnd());
      out.raw(",\"replicas\":[");
      String separator = "";
      for (LocatedTablet.Replica replica : tablet.getReplicas()) {
        out.raw(separator).raw("{\"addr\":").string(replica.getRpcHost() + ":" + replica.getRpcPort());
        out.raw(",\"role\":").string(replica.getRole()).raw('}');
        separator = ",";
      }
      out.raw("]}").line();
    }
    out.flush();
  }

  /** Prints the tablet of each row, "" where the row is in no range partition. */
  void which(KuduTool.Input in, Out out) throws IOException {
    List<LocatedTablet> tablets = tablets();
    for (Map<String, Object> values = in.next(); values != null; values = in.next()) {
      Insert insert = table.newInsert();
      Values.set(insert.getRow(), values);
      byte[] key = insert.partitionKey();
      String found = "";
      for (LocatedTablet tablet : tablets) {
        byte[] start = tablet.getPartition().getPartitionKeyStart();
        byte[] end = tablet.getPartition().getPartitionKeyEnd();
        if (Arrays.compareUnsigned(start, key) <= 0 && (end.length == 0 || Arrays.compareUnsigned(key, end) < 0)) {
          found = id(tablet);
        }
      }
      out.raw("{\"tablet\":").string(found).raw(",\"partition_key\":").hex(key).raw('}').line();
    }
    out.flush();
  }
}
