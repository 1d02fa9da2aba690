import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.util.List;

/** Writes lines of JSON, straight into a byte buffer: scans print many rows. */
final class Out {
  private static final byte[] HEX = "0123456789abcdef".getBytes(StandardCharsets.US_ASCII);

  private final OutputStream stream;
  private byte[] buffer = new byte[1 << 16];
  private int size;

  Out(OutputStream stream) {
    this.stream = stream;
  }

  private void room(int more) {
    if (size + more > buffer.length) {
      buffer = java.util.Arrays.copyOf(buffer, Math.max(size + more, 2 * buffer.length));
    }
  }

  /** Ends a line; it may stay in the buffer until flush. */
  void line() throws IOException {
    raw('\n');
    if (size >= 1 << 15) {
      drain();
    }
  }

  private void drain() throws IOException {
    stream.write(buffer, 0, size);
    size = 0;
  }

  void flush() throws IOException {
    drain();
    stream.flush();
  }

  Out raw(char c) {
    room(1);
    buffer[size++] = (byte) c;
    return this;
  }

  Out raw(byte[] bytes) {
    room(bytes.length);
    System.arraycopy(bytes, 0, buffer, size, bytes.length);
    size += bytes.length;
    return this;
  }

  /** Appends ASCII text as it is. */
  @SuppressWarnings("deprecation") // exactly what is wanted: the low bytes
  Out raw(String ascii) {
    int length = ascii.length();
    room(length);
    ascii.getBytes(0, length, buffer, size);
    size += length;
    return this;
  }

  Out number(long value) {
    return raw(Long.toString(value));
  }

  /** Appends the number in decimal, with leading zeros. */
  Out digits(long value, int width) {
    room(width);
    for (int i = width - 1; i >= 0; i--) {
      buffer[size + i] = (byte) ('0' + value % 10);
      value /= 10;
    }
    size += width;
    return this;
  }

  /** Appends a bit pattern as {"bits":"hex"}. */
  Out bits(long value, int width) {
    raw("{\"bits\":\"");
    room(width);
    for (int i = width - 1; i >= 0; i--) {
      raw((char) HEX[(int) (value >>> 4 * i) & 15]);
    }
    return raw("\"}");
  }

  /** Appends a JSON string of hex digits. */
  Out hex(byte[] bytes) {
    raw('"');
    for (byte b : bytes) {
      raw((char) HEX[b >> 4 & 15]).raw((char) HEX[b & 15]);
    }
    return raw('"');
  }

  /** Appends a JSON string. */
  Out string(String text) {
    raw('"');
    int start = size;
    int length = text.length();
    room(length);
    for (int i = 0; i < length; i++) {
      char c = text.charAt(i);
      if (c < ' ' || c >= 0x7f || c == '"' || c == '\\') {
        size = start; // start over, the slow way
        return slowString(text);
      }
      buffer[size++] = (byte) c;
    }
    return raw('"');
  }

  private Out slowString(String text) {
    for (byte b : text.getBytes(StandardCharsets.UTF_8)) {
      if (b == '"' || b == '\\') {
        raw('\\').raw((char) b);
      } else if (b >= 0 && b < ' ') {
        raw("\\u00").raw((char) HEX[b >> 4]).raw((char) HEX[b & 15]);
      } else {
        room(1);
        buffer[size++] = b;
      }
    }
    return raw('"');
  }

  Out numbers(List<Integer> values) {
    raw('[');
    for (int i = 0; i < values.size(); i++) {
      if (i > 0) {
        raw(',');
      }
      number(values.get(i));
    }
    return raw(']');
  }
}
