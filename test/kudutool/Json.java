import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Reads and writes JSON without a library, so that the program needs only the
 * Kudu client. Objects are Map, arrays List, strings String; numbers are Long
 * where they are whole and fit, else BigDecimal, so that none loses a digit.
 */
final class Json {
  private final String text;
  private int at;

  private Json(String text) {
    this.text = text;
  }

  /** Parses one value; anything behind it is an error. */
  static Object parse(String text) {
    Json json = new Json(text);
    Object value = json.value();
    json.space();
    if (json.at < text.length()) {
      throw json.fault("the end");
    }
    return value;
  }

  @SuppressWarnings("unchecked")
  static Map<String, Object> object(Object value) {
    if (value instanceof Map) {
      return (Map<String, Object>) value;
    }
    throw new IllegalArgumentException("want a JSON object, have: " + value);
  }

  /** An absent list is empty. */
  static List<?> list(Object value) {
    if (value == null) {
      return List.of();
    }
    if (value instanceof List) {
      return (List<?>) value;
    }
    throw new IllegalArgumentException("want a JSON array, have: " + value);
  }

  static List<String> strings(Object value) {
    List<String> out = new ArrayList<>();
    for (Object item : list(value)) {
      out.add((String) item);
    }
    return out;
  }

  /** An absent number is the default. */
  static int number(Map<String, Object> object, String key, int defaultValue) {
    Object value = object.get(key);
    return value == null ? defaultValue : Math.toIntExact((Long) value);
  }

  /** An absent flag is false. */
  static boolean flag(Map<String, Object> object, String key) {
    return Boolean.TRUE.equals(object.get(key));
  }

  private IllegalArgumentException fault(String wanted) {
    return new IllegalArgumentException("malformed JSON: want " + wanted + " at offset " + at);
  }

  private void space() {
    while (at < text.length() && text.charAt(at) <= ' ') {
      at++;
    }
  }

  private char next() {
    if (at >= text.length()) {
      throw fault("more");
    }
    return text.charAt(at++);
  }

  private Object value() {
    space();
    char c = next();
    switch (c) {
      case '{':
        return members();
      case '[':
        return items();
      case '"':
        return string();
      case 't':
        return word("true", Boolean.TRUE);
      case 'f':
        return word("false", Boolean.FALSE);
      case 'n':
        return word("null", null);
      default:
        at--;
        return number();
    }
  }

  private Object word(String word, Object value) {
    if (!text.startsWith(word, at - 1)) {
      throw fault(word);
    }
    at += word.length() - 1;
    return value;
  }

  private Map<String, Object> members() {
    Map<String, Object> members = new LinkedHashMap<>();
    space();
    if (next() == '}') {
      return members;
    }
    at--;
    while (true) {
      space();
      if (next() != '"') {
        throw fault("a key");
      }
      String key = string();
      space();
      if (next() != ':') {
        throw fault("a colon");
      }
      members.put(key, value());
      space();
      char c = next();
      if (c == '}') {
        return members;
      }
      if (c != ',') {
        throw fault("a comma");
      }
    }
  }

  private List<Object> items() {
    List<Object> items = new ArrayList<>();
    space();
    if (next() == ']') {
      return items;
    }
    at--;
    while (true) {
      items.add(value());
      space();
      char c = next();
      if (c == ']') {
        return items;
      }
      if (c != ',') {
        throw fault("a comma");
      }
    }
  }

  private Object number() {
    int start = at;
    boolean whole = true;
    while (at < text.length() && "+-.eE0123456789".indexOf(text.charAt(at)) >= 0) {
      char c = text.charAt(at++);
      whole &= c == '-' || c >= '0' && c <= '9';
    }
    String digits = text.substring(start, at);
    if (digits.isEmpty()) {
      throw fault("a value");
    }
    if (whole && digits.length() <= 20) {
      try {
        return Long.valueOf(digits);
      } catch (NumberFormatException tooLong) {
        return new BigDecimal(digits);
      }
    }
    return new BigDecimal(digits);
  }

  private String string() {
    int start = at;
    // Most strings have no escape.
    int end = text.indexOf('"', at);
    if (end < 0) {
      throw fault("a quote");
    }
    int escape = text.indexOf('\\', at);
    if (escape < 0 || escape > end) {
      at = end + 1;
      return text.substring(start, end);
    }
    StringBuilder out = new StringBuilder();
    while (true) {
      char c = next();
      if (c == '"') {
        return out.toString();
      }
      out.append(c == '\\' ? escaped() : c);
    }
  }

  private char escaped() {
    char c = next();
    switch (c) {
      case 'b':
        return '\b';
      case 'f':
        return '\f';
      case 'n':
        return '\n';
      case 'r':
        return '\r';
      case 't':
        return '\t';
      case 'u':
        at += 4;
        if (at > text.length()) {
          throw fault("four hex digits");
        }
        return (char) Integer.parseInt(text.substring(at - 4, at), 16);
      default:
        return c;
    }
  }
}
