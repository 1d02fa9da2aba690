// Package predicate reads the small SQL-like language of the configuration
// keys that choose and order rows and columns, and evaluates it: where
// conditions are split into what Kudu evaluates while it scans and what is
// evaluated here, on the columns of a batch.
//
//	expr, err := predicate.Parse("status IN ('NEW','RETRY') AND due <= now()")
//	filter, err := predicate.Compile(expr, schema) // once per schema of the table
//	bound := filter.At(time.Now())                 // once per pass
//	bound.Pushed()                                 // for the scan
//	sel = bound.Select(batch, sel)                 // rows of the batch that are left
//
// # Conditions
//
//	condition  = column op value | value op column | column
//	           | column [NOT] IN ( value, ... )
//	           | column [NOT] BETWEEN value AND value
//	           | column [NOT] LIKE 'pattern' [ESCAPE 'c']
//	           | column IS [NOT] NULL
//	           | NOT condition | condition AND condition
//	           | condition OR condition | ( condition )
//	op         = =  <>  !=  <  <=  >  >=
//	column     = name | "name" | `name`
//
// NOT binds tighter than AND, AND tighter than OR. Keywords are read in any
// case; a column whose name is a keyword or has other characters than letters,
// digits and _ is quoted, with the quote doubled inside. Column names are
// matched exactly, as in Kudu. A column alone must be a BOOL. One side of a
// comparison is a column, the other a value.
//
// A value is read as the type of its column, and must fit it:
//
//	BOOL             TRUE, FALSE
//	INT8..INT64      whole numbers within the type's range
//	FLOAT, DOUBLE    numbers, rounded to the nearest value of the type; NaN,
//	                 Infinity, -Infinity, bare or in single quotes
//	DECIMAL          plain numbers with no more digits than the column has
//	STRING, VARCHAR  'text', a quote inside doubled
//	BINARY           X'hex'
//	UNIXTIME_MICROS  '2026-01-02T03:04:05.000006Z' or with +02:00; UTC without
//	                 a zone, midnight without a time; now()
//	DATE             '2026-01-02'; now(), which is the day in UTC
//
// now() is the instant given to Filter.At, cut to microseconds, and can be
// shifted: now() - INTERVAL 90 MINUTE + INTERVAL '5' SECOND. Units are
// MICROSECOND, MILLISECOND, SECOND, MINUTE, HOUR and DAY (24 hours), with or
// without a plural S; in all at most 365000 days.
//
// # What a condition selects
//
// The logic has three values, as in SQL: any comparison with NULL is unknown,
// NOT unknown is unknown, and a row is selected only when the condition is
// true. So NOT (a = 1) and a NOT IN (1, 2) don't select rows where a is NULL.
// NULL is written only in IS NULL.
//
// Strings compare byte by byte, as Kudu does. In LIKE, % stands for any text
// and _ for one character (one byte in a BINARY; a byte that isn't UTF-8
// counts as a character). There is no escape character unless ESCAPE names
// one.
//
// FLOAT and DOUBLE have a total order: NaN equals NaN and is above all numbers,
// infinity included, and minus zero equals zero. Kudu compares with < and >
// alone (GenericCompare in kudu-1.18.1 src/kudu/common/types.h), so that NaN
// counts as equal to every number there; comparisons of such columns are
// therefore never pushed.
//
// # Pushing
//
// The parts of the condition that AND joins at the top, after NOT has been
// moved inward, are conjuncts. Pushed are those that compare one column by =,
// <, <=, >, >=, BETWEEN, IN (also written as an OR of such), IS [NOT] NULL, and
// LIKE of a text with one % at its end. LIKE with a longer pattern that begins
// with text is pushed as a range and evaluated also. The rest is evaluated.
//
// # Limits
//
// A text has at most 64 KiB and parentheses nest at most 100 deep. Errors of
// Parse and Compile are of type *Error and point at the character; Compile
// reports all faults at once, joined.
//
// The package starts no goroutines and does no input or output. A Filter and
// an Order are immutable; a Bound belongs to one goroutine at a time. Nothing
// keeps memory of a batch after a call.
package predicate
