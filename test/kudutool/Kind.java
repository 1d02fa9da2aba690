import java.math.BigDecimal;
import java.math.BigInteger;
import org.apache.kudu.client.PartialRow;
import org.apache.kudu.util.DateUtil;

/** The tables that the generator knows. Each is hash partitioned by its id. */
enum Kind {
  /** Small rows of fixed types: what benchmarks read. */
  NARROW(column("event_time", "UNIXTIME_MICROS", true, "") + column("id", "INT64", true, "")
      + column("user", "STRING", false, "") + column("amount", "DOUBLE", false, "")) {
    @Override
    void fill(PartialRow row, long micros, long n, Noise noise) {
      row.addLong(0, micros);
      row.addLong(1, n);
      row.addString(2, "user-" + noise.below(100_000));
      row.addDouble(3, noise.below(1_000_000) / 100.0);
    }
  },

  /** Orders of a shop: what the demo shows. */
  DEMO(column("event_time", "UNIXTIME_MICROS", true, "") + column("id", "INT64", true, "")
      + column("customer", "STRING", false, "") + column("product", "STRING", false, "")
      + column("quantity", "INT32", false, "") + column("price", "DECIMAL", false, ",\"precision\":18,\"scale\":2")
      + column("status", "STRING", false, "") + column("note", "STRING", false, ",\"nullable\":true")) {
    @Override
    void fill(PartialRow row, long micros, long n, Noise noise) {
      row.addLong(0, micros);
      row.addLong(1, n);
      row.addString(2, "customer-" + noise.below(5_000));
      row.addString(3, PRODUCTS[(int) noise.below(PRODUCTS.length)]);
      row.addInt(4, 1 + (int) noise.below(9));
      row.addDecimal(5, BigDecimal.valueOf(100 + noise.below(100_000), 2));
      row.addString(6, "NEW");
      if (noise.below(4) == 0) {
        row.addString(7, "gift, wrap it \"nicely\" \u2014 \u00e0 bient\u00f4t");
      } else {
        row.setNull(7);
      }
    }
  },

  /** A queue, whose rows are taken out by time and priority. */
  QUEUE(column("id", "INT64", true, "") + column("dequeue_time", "UNIXTIME_MICROS", false, "")
      + column("priority", "INT32", false, "") + column("status", "STRING", false, "")
      + column("payload", "STRING", false, "")) {
    @Override
    void fill(PartialRow row, long micros, long n, Noise noise) {
      row.addLong(0, n);
      row.addLong(1, micros);
      row.addInt(2, (int) noise.below(10));
      row.addString(3, "NEW");
      row.addString(4, "payload-" + noise.next());
    }
  },

  /** Twenty columns of all types. */
  WIDE(column("event_time", "UNIXTIME_MICROS", true, "") + column("id", "INT64", true, "")
      + column("c_bool", "BOOL", false, "") + column("c_int8", "INT8", false, "")
      + column("c_int16", "INT16", false, "") + column("c_int32", "INT32", false, "")
      + column("c_int64", "INT64", false, "") + column("c_float", "FLOAT", false, "")
      + column("c_double", "DOUBLE", false, "") + column("c_decimal9", "DECIMAL", false, ",\"precision\":9,\"scale\":2")
      + column("c_decimal18", "DECIMAL", false, ",\"precision\":18,\"scale\":4")
      + column("c_decimal38", "DECIMAL", false, ",\"precision\":38,\"scale\":10")
      + column("c_string", "STRING", false, "") + column("c_varchar", "VARCHAR", false, ",\"length\":64")
      + column("c_binary", "BINARY", false, "") + column("c_date", "DATE", false, "")
      + column("n_int64", "INT64", false, ",\"nullable\":true") + column("n_double", "DOUBLE", false, ",\"nullable\":true")
      + column("n_string", "STRING", false, ",\"nullable\":true")
      + column("n_time", "UNIXTIME_MICROS", false, ",\"nullable\":true")) {
    @Override
    void fill(PartialRow row, long micros, long n, Noise noise) {
      row.addLong(0, micros);
      row.addLong(1, n);
      row.addBoolean(2, noise.below(2) == 1);
      row.addByte(3, (byte) noise.next());
      row.addShort(4, (short) noise.next());
      row.addInt(5, (int) noise.next());
      row.addLong(6, noise.next());
      row.addFloat(7, (noise.below(2_000_000) - 1_000_000) / 64f);
      row.addDouble(8, (noise.below(2_000_000_000) - 1_000_000_000) / 1000.0);
      row.addDecimal(9, BigDecimal.valueOf(noise.below(1_999_999_999) - 999_999_999, 2));
      row.addDecimal(10, BigDecimal.valueOf(noise.next() % 1_000_000_000_000_000_000L, 4));
      BigInteger high = BigInteger.valueOf(noise.next()).multiply(BigInteger.valueOf(noise.below(1_000_000_000_000_000_000L)));
      row.addDecimal(11, new BigDecimal(high, 10));
      row.addString(12, "row " + n + " of the wide table, " + noise.below(1_000_000));
      row.addVarchar(13, "caf\u00e9 " + noise.below(1000));
      row.addBinary(14, BigInteger.valueOf(noise.next()).toByteArray());
      row.addDate(15, DateUtil.epochDaysToSqlDate((int) noise.below(40_000) - 10_000));
      long nulls = noise.next();
      if ((nulls & 1) == 0) {
        row.addLong(16, noise.next());
      }
      if ((nulls & 2) == 0) {
        row.addDouble(17, noise.below(1_000_000) / 7.0);
      }
      if ((nulls & 4) == 0) {
        row.addString(18, "\u65e5\u672c\u8a9e " + noise.below(100));
      }
      if ((nulls & 8) == 0) {
        row.addLong(19, micros - noise.below(1_000_000_000_000L));
      }
    }
  };

  private static final String[] PRODUCTS = {"kettle", "lamp", "chair", "notebook", "bicycle", "umbrella", "teapot"};

  /** The table's description, without its name and partitions. */
  final String table;

  Kind(String columns) {
    table = "{\"columns\":[" + columns.substring(1) + "]}";
  }

  private static String column(String name, String type, boolean key, String more) {
    return ",{\"name\":\"" + name + "\",\"type\":\"" + type + "\",\"key\":" + key + more + "}";
  }

  /** Sets the columns of row n. */
  abstract void fill(PartialRow row, long micros, long n, Noise noise);

  /** The same numbers for the same seed and row (splitmix64). */
  static final class Noise {
    private long state;

    Noise(long seed, long n) {
      state = seed * 0x9e3779b97f4a7c15L ^ n * 0xd1342543de82ef95L;
    }

    long next() {
      state += 0x9e3779b97f4a7c15L;
      long z = (state ^ state >>> 30) * 0xbf58476d1ce4e5b9L;
      z = (z ^ z >>> 27) * 0x94d049bb133111ebL;
      return z ^ z >>> 31;
    }

    /** From 0 to bound - 1. */
    long below(long bound) {
      return Math.floorMod(next(), bound);
    }
  }
}
