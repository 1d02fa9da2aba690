import java.io.IOException;
import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.time.LocalDate;
import java.time.OffsetDateTime;
import java.util.Base64;
import java.util.Map;
import org.apache.kudu.ColumnSchema;
import org.apache.kudu.Schema;
import org.apache.kudu.client.PartialRow;
import org.apache.kudu.client.RawCells;
import org.apache.kudu.client.RowResult;
import org.apache.kudu.util.DateUtil;

/** Converts between Kudu's values and their JSON form, without losing a bit. */
final class Values {
  private static final long SECOND = 1_000_000L;
  private static final long DAY = 86_400 * SECOND;

  private Values() {}

  /** Sets each column of the row that the object names. */
  static void set(PartialRow row, Map<String, Object> values) {
    Schema schema = row.getSchema();
    for (Map.Entry<String, Object> entry : values.entrySet()) {
      if (!schema.hasColumn(entry.getKey())) {
        throw new IllegalArgumentException("no such column: " + entry.getKey());
      }
      int i = schema.getColumnIndex(entry.getKey());
      Object value = entry.getValue();
      if (value == null) {
        row.setNull(i);
        continue;
      }
      try {
        set(row, i, schema.getColumnByIndex(i), value);
      } catch (RuntimeException e) {
        throw new IllegalArgumentException("column " + entry.getKey() + ": " + e, e);
      }
    }
  }

  private static void set(PartialRow row, int i, ColumnSchema column, Object value) {
    switch (column.getType()) {
      case BOOL:
        row.addBoolean(i, (Boolean) value);
        break;
      case INT8:
        row.addByte(i, whole(value).byteValueExact());
        break;
      case INT16:
        row.addShort(i, whole(value).shortValueExact());
        break;
      case INT32:
        row.addInt(i, whole(value).intValueExact());
        break;
      case INT64:
        row.addLong(i, whole(value).longValueExact());
        break;
      case UNIXTIME_MICROS:
        row.addLong(i, micros(value));
        break;
      case FLOAT:
        if (value instanceof Map) {
          RawCells.setBits(row, i, bits(value), 4);
        } else {
          row.addFloat(i, Float.parseFloat(value.toString())); // takes "NaN" and "-Infinity" too
        }
        break;
      case DOUBLE:
        if (value instanceof Map) {
          RawCells.setBits(row, i, bits(value), 8);
        } else {
          row.addDouble(i, Double.parseDouble(value.toString()));
        }
        break;
      case DECIMAL:
        row.addDecimal(i, decimal(value).setScale(column.getTypeAttributes().getScale()));
        break;
      case STRING:
        if (value instanceof Map) { // any bytes, also such that aren't text
          row.addStringUtf8(i, Base64.getDecoder().decode((String) Json.object(value).get("base64")));
        } else {
          row.addString(i, (String) value);
        }
        break;
      case VARCHAR:
        row.addVarchar(i, (String) value);
        break;
      case BINARY:
        row.addBinary(i, Base64.getDecoder().decode((String) value));
        break;
      case DATE:
        row.addDate(i, DateUtil.epochDaysToSqlDate(days(value)));
        break;
      default:
        throw new IllegalArgumentException("type " + column.getType() + " is not known");
    }
  }

  /** The value as ColumnSchema takes a default. */
  static Object defaultValue(ColumnSchema column, Object value) {
    PartialRow row = new Schema(java.util.List.of(column)).newPartialRow();
    set(row, 0, column, value);
    switch (column.getType()) {
      case UNIXTIME_MICROS:
        return row.getLong(0);
      default:
        return row.getObject(0);
    }
  }

  private static BigDecimal decimal(Object value) {
    return value instanceof BigDecimal ? (BigDecimal) value : new BigDecimal(value.toString());
  }

  /** Some number without a fraction, as its big integer. */
  private static java.math.BigInteger whole(Object value) {
    return decimal(value).toBigIntegerExact();
  }

  private static long bits(Object value) {
    return Long.parseUnsignedLong((String) Json.object(value).get("bits"), 16);
  }

  private static long micros(Object value) {
    if (value instanceof String && ((String) value).indexOf('T') > 0) {
      Instant instant = OffsetDateTime.parse((String) value).toInstant();
      if (instant.getNano() % 1000 != 0) {
        throw new IllegalArgumentException("finer than a microsecond: " + value);
      }
      return Math.addExact(Math.multiplyExact(instant.getEpochSecond(), SECOND), instant.getNano() / 1000);
    }
    return whole(value).longValueExact();
  }

  private static int days(Object value) {
    if (value instanceof String) {
      return Math.toIntExact(LocalDate.parse((String) value).toEpochDay());
    }
    return whole(value).intValueExact();
  }

  /** Prints the rows of one projection. */
  static final class Printer {
    private final Schema schema;
    private final byte[][] names; // each with its quotes, colon and leading comma or brace

    Printer(Schema schema) {
      this.schema = schema;
      names = new byte[schema.getColumnCount()][];
      for (int i = 0, printed = 0; i < names.length; i++) {
        if (schema.hasIsDeleted() && i == schema.getIsDeletedIndex()) {
          continue; // no column of the table
        }
        java.io.ByteArrayOutputStream bytes = new java.io.ByteArrayOutputStream();
        Out out = new Out(bytes);
        out.raw(printed++ == 0 ? '{' : ',').string(schema.getColumnByIndex(i).getName()).raw(':');
        try {
          out.flush();
        } catch (IOException e) {
          throw new IllegalStateException(e); // a byte array does not fail
        }
        names[i] = bytes.toByteArray();
      }
    }

    void print(RowResult row, Out out) {
      boolean any = false;
      for (int i = 0; i < names.length; i++) {
        if (names[i] == null) {
          continue;
        }
        any = true;
        out.raw(names[i]);
        if (row.isNull(i)) {
          out.raw("null");
        } else {
          print(row, i, out);
        }
      }
      out.raw(any ? "}" : "{}");
    }

    private void print(RowResult row, int i, Out out) {
      switch (schema.getColumnByIndex(i).getType()) {
        case BOOL:
          out.raw(row.getBoolean(i) ? "true" : "false");
          break;
        case INT8:
          out.number(row.getByte(i));
          break;
        case INT16:
          out.number(row.getShort(i));
          break;
        case INT32:
          out.number(row.getInt(i));
          break;
        case INT64:
          out.number(row.getLong(i));
          break;
        case UNIXTIME_MICROS:
          printMicros(row.getLong(i), out);
          break;
        case FLOAT:
          out.bits(Float.floatToRawIntBits(row.getFloat(i)) & 0xffffffffL, 8);
          break;
        case DOUBLE:
          out.bits(Double.doubleToRawLongBits(row.getDouble(i)), 16);
          break;
        case DECIMAL:
          out.raw('"').raw(row.getDecimal(i).toPlainString()).raw('"');
          break;
        case STRING:
          out.string(row.getString(i));
          break;
        case VARCHAR:
          out.string(row.getVarchar(i));
          break;
        case BINARY:
          out.raw('"').raw(Base64.getEncoder().encode(row.getBinaryCopy(i))).raw('"');
          break;
        case DATE:
          out.raw('"');
          printDate(row.getInt(i), out);
          out.raw('"');
          break;
        default:
          throw new IllegalArgumentException("type " + schema.getColumnByIndex(i).getType() + " is not known");
      }
    }
  }

  private static void printMicros(long micros, Out out) {
    long inDay = Math.floorMod(micros, DAY);
    long seconds = inDay / SECOND;
    out.raw('"');
    printDate(Math.floorDiv(micros, DAY), out);
    out.raw('T').digits(seconds / 3600, 2).raw(':').digits(seconds / 60 % 60, 2).raw(':');
    out.digits(seconds % 60, 2).raw('.').digits(inDay % SECOND, 6).raw("Z\"");
  }

  private static void printDate(long days, Out out) {
    LocalDate date = LocalDate.ofEpochDay(days);
    int year = date.getYear();
    if (year < 0 || year > 9999) {
      out.raw(date.toString()); // ISO 8601 expanded: a sign, and more digits
      return;
    }
    out.digits(year, 4).raw('-').digits(date.getMonthValue(), 2).raw('-').digits(date.getDayOfMonth(), 2);
  }
}
