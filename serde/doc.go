// Package serde writes rows of Kudu as the bytes of Kafka records, straight
// from the borrowed column views of a kudu.RowBatch: no row object, no map and
// no allocation per row or cell.
//
// An Encoder is made once per task for a projection and appends to the
// caller's buffer. It keeps no bytes of a batch, so a batch may be used again
// as soon as the call returns. The package starts no goroutines, does no input
// or output and logs nothing.
//
// # JSON
//
// The converter json writes one object per key and per value, without white
// space, with the members in the order of the columns given to NewEncoder:
//
//	BOOL             true, false
//	INT8..INT64      number; beyond 2^53 a reader needs 64-bit integers
//	FLOAT, DOUBLE    the shortest number that reads back equal, with an exponent
//	                 below 1e-6 and from 1e21 on; minus zero is -0.0, since
//	                 many readers take -0 for the integer 0; what isn't a
//	                 number is "NaN", "Infinity" or "-Infinity"
//	STRING, VARCHAR  string in UTF-8; escaped are the quote, the backslash,
//	                 U+0000..U+001F, U+2028 and U+2029. Bytes that aren't UTF-8
//	                 are an error: nothing is replaced silently
//	BINARY           string: standard base64 with padding
//	NULL             null
//
// decimal.handling.mode says how DECIMAL is written:
//
//	string   "-12.50": always all digits of the scale (the default)
//	double   -12.50: a number, also with all its digits; a reader that takes
//	         numbers as doubles gets the nearest one, others lose nothing
//	precise  base64 of the unscaled value as big-endian two's complement of
//	         the fewest bytes, as Kafka Connect's Decimal
//
// time.precision.mode says how UNIXTIME_MICROS and DATE are written:
//
//	isostring     "2026-01-02T03:04:05.000006Z", always UTC with six digits,
//	              and "2026-01-02" (the default)
//	microseconds  numbers: microseconds and days since the Unix epoch
//	connect       numbers: milliseconds and days since the Unix epoch, as
//	              Kafka Connect's Timestamp and Date; what is finer than a
//	              millisecond is cut off toward the past in values. In keys,
//	              where the cut could give two rows the same key, a time that
//	              isn't a whole millisecond is an error instead
//
// Times outside the years 1 to 9999 are written with the expanded years of
// ISO 8601: a sign and at least six digits, such as +010000-01-01 and
// -000044-03-15; the year 0 is +000000.
//
// Keys of different rows differ whatever the options, as long as no FLOAT or
// DOUBLE column is part of the key: all NaNs are the same there.
//
// # Positions
//
// MarshalValues and UnmarshalValues turn Go values of cells into JSON for
// position records and back, exactly.
package serde
