import java.io.BufferedReader;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import org.apache.kudu.client.KuduClient;
import org.apache.kudu.client.KuduException;

/**
 * The oracle: what Kudu's official client says. Commands take a table's rows and
 * descriptions as lines of JSON and answer in lines of JSON; README.md lists
 * them. "serve" runs any number of commands in one process.
 */
public final class KuduTool {
  /** The input of a command: JSON objects, as they come. */
  interface Input {
    /** Returns null at the end. */
    Map<String, Object> next() throws IOException;
  }

  private final Map<String, KuduClient> clients = new HashMap<>();

  public static void main(String[] args) throws Exception {
    Out out = new Out(new FileOutputStream(FileDescriptor.out));
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8), 1 << 16);
    KuduTool tool = new KuduTool();
    int code = 0;
    try {
      if (args.length == 1 && args[0].equals("serve")) {
        tool.serve(in, out);
      } else {
        tool.run(List.of(args), lines(in), out);
      }
    } catch (Exception e) {
      System.err.println(message(e));
      code = 1;
    }
    out.flush();
    // The client's threads would take their time; all answers have been awaited.
    System.exit(code);
  }

  private static Input lines(BufferedReader in) {
    return () -> {
      String line = in.readLine();
      return line == null ? null : Json.object(Json.parse(line));
    };
  }

  private static String message(Exception e) {
    return e instanceof IllegalArgumentException ? String.valueOf(e.getMessage()) : e.toString();
  }

  /**
   * Each line is {"args":[..],"input":[objects]}. The answer ends with a line
   * {"done":true}, with an "error" if there was one.
   */
  private void serve(BufferedReader in, Out out) throws IOException {
    for (String line = in.readLine(); line != null; line = in.readLine()) {
      String error = null;
      try {
        Map<String, Object> request = Json.object(Json.parse(line));
        Iterator<?> input = Json.list(request.get("input")).iterator();
        run(Json.strings(request.get("args")), () -> input.hasNext() ? Json.object(input.next()) : null, out);
      } catch (Exception e) {
        error = message(e);
      }
      out.raw("{\"done\":true");
      if (error != null) {
        out.raw(",\"error\":").string(error);
      }
      out.raw('}').line();
      out.flush();
    }
  }

  /**
   * A client remembers where tablets are, for minutes, so a kept one may not know
   * what others have changed since. Only writing keeps it, for speed.
   */
  private KuduClient client(String masters, boolean fresh) throws KuduException {
    KuduClient client = clients.get(masters);
    if (client != null && fresh) {
      clients.remove(masters);
      client.close();
      client = null;
    }
    if (client == null) {
      client = new KuduClient.KuduClientBuilder(Arrays.asList(masters.split(","))).build();
      clients.put(masters, client);
    }
    return client;
  }

  private void run(List<String> words, Input in, Out out) throws Exception {
    Arguments args = new Arguments(words);
    String command = args.word("a command");
    boolean fresh = args.flag("fresh") || !command.equals("write");
    KuduClient client = client(args.word("the masters"), fresh);
    switch (command) {
      case "create":
        Tables.create(client, in.next());
        break;
      case "drop":
        client.deleteTable(args.word("a table"));
        break;
      case "alter":
        String altered = args.word("a table");
        for (Map<String, Object> step = in.next(); step != null; step = in.next()) {
          Tables.alter(client, altered, step);
        }
        break;
      case "write":
        new Writes(client, client.openTable(args.word("a table")), args.number("batch", 1000)).run(in, out);
        break;
      case "generate":
        Generator.run(client, args.word("a table"), args, out);
        break;
      case "read":
        new Scans(client, client.openTable(args.word("a table"))).read(args, out);
        break;
      case "locate":
        new Scans(client, client.openTable(args.word("a table"))).locate(out);
        break;
      case "which":
        new Scans(client, client.openTable(args.word("a table"))).which(in, out);
        break;
      default:
        throw new IllegalArgumentException("no such command: " + command);
    }
    args.done();
  }

  /** A command line: words, and flags "--name value" or "--name=value". */
  static final class Arguments {
    private final List<String> words = new ArrayList<>();
    private final Map<String, String> flags = new HashMap<>();

    Arguments(List<String> all) {
      for (int i = 0; i < all.size(); i++) {
        String word = all.get(i);
        if (!word.startsWith("--")) {
          words.add(word);
          continue;
        }
        String name = word.substring(2);
        int equals = name.indexOf('=');
        if (equals >= 0) {
          flags.put(name.substring(0, equals), name.substring(equals + 1));
        } else if (i + 1 < all.size() && !all.get(i + 1).startsWith("--")) {
          flags.put(name, all.get(++i));
        } else {
          flags.put(name, "true");
        }
      }
    }

    String word(String what) {
      if (words.isEmpty()) {
        throw new IllegalArgumentException("the command line lacks " + what);
      }
      return words.remove(0);
    }

    String text(String name, String defaultValue) {
      String value = flags.remove(name);
      return value == null ? defaultValue : value;
    }

    long number(String name, long defaultValue) {
      String value = flags.remove(name);
      return value == null ? defaultValue : Long.parseLong(value);
    }

    boolean flag(String name) {
      return Boolean.parseBoolean(flags.remove(name));
    }

    /** Complains of what no command took. */
    void done() {
      if (!words.isEmpty() || !flags.isEmpty()) {
        throw new IllegalArgumentException("not understood: " + words + " " + flags.keySet());
      }
    }
  }
}
