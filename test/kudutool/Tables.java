import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.kudu.ColumnSchema;
import org.apache.kudu.ColumnTypeAttributes;
import org.apache.kudu.Schema;
import org.apache.kudu.Type;
import org.apache.kudu.client.AlterTableOptions;
import org.apache.kudu.client.CreateTableOptions;
import org.apache.kudu.client.KuduClient;
import org.apache.kudu.client.KuduException;
import org.apache.kudu.client.PartialRow;
import org.apache.kudu.client.RangePartitionBound;
import org.apache.kudu.client.RangePartitionWithCustomHashSchema;

/** Makes and alters tables from their JSON descriptions. */
final class Tables {
  private Tables() {}

  static void create(KuduClient client, Map<String, Object> spec) throws KuduException {
    boolean autoIncrementing = Json.flag(spec, "auto_incrementing");
    List<ColumnSchema> columns = new ArrayList<>();
    for (Object column : Json.list(spec.get("columns"))) {
      columns.add(column(Json.object(column), autoIncrementing));
    }
    Schema schema = new Schema(columns);
    CreateTableOptions options = new CreateTableOptions();
    options.setNumReplicas(Json.number(spec, "replicas", 1));
    for (Object item : Json.list(spec.get("hash"))) {
      Map<String, Object> hash = Json.object(item);
      options.addHashPartitions(Json.strings(hash.get("columns")), Json.number(hash, "buckets", 2), Json.number(hash, "seed", 0));
    }
    Map<String, Object> range = spec.get("range") == null ? Map.of() : Json.object(spec.get("range"));
    options.setRangePartitionColumns(Json.strings(range.get("columns")));
    for (Object item : Json.list(range.get("bounds"))) {
      Range bounds = new Range(schema, Json.object(item));
      if (bounds.hash == null) {
        options.addRangePartition(bounds.lower, bounds.upper, bounds.lowerType, bounds.upperType);
      } else {
        options.addRangePartition(bounds.custom());
      }
    }
    options.setExtraConfigs(configs(spec.get("extra_configs")));
    if (spec.get("comment") != null) {
      options.setComment((String) spec.get("comment"));
    }
    client.createTable((String) spec.get("name"), schema, options);
  }

  private static Map<String, String> configs(Object value) {
    Map<String, String> configs = new HashMap<>();
    if (value != null) {
      Json.object(value).forEach((key, item) -> configs.put(key, item.toString()));
    }
    return configs;
  }

  /**
   * A column. In a table with the auto-incrementing column the other key columns
   * are a non-unique key, and the client adds that column by itself.
   */
  private static ColumnSchema column(Map<String, Object> spec, boolean autoIncrementing) {
    Type type = Type.valueOf(((String) spec.get("type")).toUpperCase(java.util.Locale.ROOT));
    ColumnSchema.ColumnSchemaBuilder builder = new ColumnSchema.ColumnSchemaBuilder((String) spec.get("name"), type);
    if (Json.flag(spec, "key")) {
      if (autoIncrementing) {
        builder.nonUniqueKey(true);
      } else {
        builder.key(true);
      }
    }
    builder.nullable(Json.flag(spec, "nullable"));
    builder.immutable(Json.flag(spec, "immutable"));
    ColumnTypeAttributes.ColumnTypeAttributesBuilder attributes = new ColumnTypeAttributes.ColumnTypeAttributesBuilder();
    if (type == Type.DECIMAL) {
      attributes.precision(Json.number(spec, "precision", 18)).scale(Json.number(spec, "scale", 0));
      builder.typeAttributes(attributes.build());
    } else if (type == Type.VARCHAR) {
      builder.typeAttributes(attributes.length(Json.number(spec, "length", 64)).build());
    }
    if (spec.get("comment") != null) {
      builder.comment((String) spec.get("comment"));
    }
    if (spec.get("encoding") != null) {
      builder.encoding(ColumnSchema.Encoding.valueOf((String) spec.get("encoding")));
    }
    if (spec.get("compression") != null) {
      builder.compressionAlgorithm(ColumnSchema.CompressionAlgorithm.valueOf((String) spec.get("compression")));
    }
    if (spec.get("default") != null) {
      builder.defaultValue(Values.defaultValue(builder.build(), spec.get("default")));
    }
    return builder.build();
  }

  /** A range partition. A bound that is not given is open. */
  private static final class Range {
    final PartialRow lower;
    final PartialRow upper;
    final RangePartitionBound lowerType;
    final RangePartitionBound upperType;
    final Object hash; // null: the table's

    Range(Schema schema, Map<String, Object> spec) {
      lower = bound(schema, spec.get("lower"));
      upper = bound(schema, spec.get("upper"));
      lowerType = Json.flag(spec, "lower_exclusive") ? RangePartitionBound.EXCLUSIVE_BOUND : RangePartitionBound.INCLUSIVE_BOUND;
      upperType = Json.flag(spec, "upper_inclusive") ? RangePartitionBound.INCLUSIVE_BOUND : RangePartitionBound.EXCLUSIVE_BOUND;
      hash = spec.get("hash");
    }

    private static PartialRow bound(Schema schema, Object values) {
      PartialRow row = schema.newPartialRow();
      if (values != null) {
        Values.set(row, Json.object(values));
      }
      return row;
    }

    RangePartitionWithCustomHashSchema custom() {
      RangePartitionWithCustomHashSchema range = new RangePartitionWithCustomHashSchema(lower, upper, lowerType, upperType);
      for (Object item : Json.list(hash)) {
        Map<String, Object> level = Json.object(item);
        range.addHashPartitions(Json.strings(level.get("columns")), Json.number(level, "buckets", 2), Json.number(level, "seed", 0));
      }
      return range;
    }
  }

  /** Does one step, and returns when all tablets have it. */
  static void alter(KuduClient client, String table, Map<String, Object> step) throws KuduException {
    AlterTableOptions options = new AlterTableOptions();
    String kind = step.keySet().iterator().next();
    Object value = step.get(kind);
    switch (kind) {
      case "add_column":
        options.addColumn(column(Json.object(value), false));
        break;
      case "drop_column":
        options.dropColumn((String) value);
        break;
      case "rename_column":
        options.renameColumn((String) Json.object(value).get("from"), (String) Json.object(value).get("to"));
        break;
      case "rename_table":
        options.renameTable((String) value);
        break;
      case "add_range":
      case "drop_range":
        Range range = new Range(client.openTable(table).getSchema(), Json.object(value));
        if (kind.equals("drop_range")) {
          options.dropRangePartition(range.lower, range.upper, range.lowerType, range.upperType);
        } else if (range.hash == null) {
          options.addRangePartition(range.lower, range.upper, range.lowerType, range.upperType);
        } else {
          options.addRangePartition(range.custom());
        }
        break;
      case "extra_configs":
        options.alterExtraConfigs(configs(value));
        break;
      default:
        throw new IllegalArgumentException("no such step: " + kind);
    }
    client.alterTable(table, options);
  }
}
