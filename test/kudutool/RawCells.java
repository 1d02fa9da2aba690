package org.apache.kudu.client;

/**
 * Sets cells by their bytes: the client's own setters turn every NaN into the
 * same one. In the client's package, for a method that is visible only there.
 */
public final class RawCells {
  private RawCells() {}

  /** Sets a FLOAT or DOUBLE cell to the bits, of which it takes the low width bytes. */
  public static void setBits(PartialRow row, int column, long bits, int width) {
    byte[] littleEndian = new byte[width];
    for (int i = 0; i < width; i++) {
      littleEndian[i] = (byte) (bits >>> 8 * i);
    }
    row.setRaw(column, littleEndian);
  }
}
