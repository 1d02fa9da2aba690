package kudufake

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"time"

	"github.com/kudu2kafka/kudu2kafka/kudu"
)

// encodeCell makes the cell of a Go value: integers, bool, floats, string and
// []byte; time.Time for UNIXTIME_MICROS and DATE; *big.Int, unscaled, for
// decimals; nil for NULL.
func encodeCell(col *column, v any) ([]byte, error) {
	wrong := fmt.Errorf("column %q: a %T can't be a %s", col.name, v, col.typ)
	switch v := v.(type) {
	case nil:
		return nil, nil
	case string:
		if col.typ.VarLen() {
			return []byte(v), nil
		}
	case []byte:
		if col.typ.VarLen() {
			return append([]byte{}, v...), nil
		}
	case bool:
		if col.typ == kudu.Bool && v {
			return []byte{1}, nil
		} else if col.typ == kudu.Bool {
			return []byte{0}, nil
		}
	case float32:
		return encodeCell(col, float64(v))
	case float64:
		switch col.typ {
		case kudu.Float:
			return binary.LittleEndian.AppendUint32(nil, math.Float32bits(float32(v))), nil
		case kudu.Double:
			return binary.LittleEndian.AppendUint64(nil, math.Float64bits(v)), nil
		}
	case time.Time:
		switch col.typ {
		case kudu.UnixtimeMicros:
			return encodeCell(col, v.UnixMicro())
		case kudu.Date:
			days := v.UTC().Unix() / 86400
			if v.UTC().Unix()%86400 < 0 {
				days--
			}
			return encodeCell(col, days)
		}
	case *big.Int:
		return encodeInt(col, v)
	default:
		if n, ok := integer(v); ok {
			return encodeInt(col, big.NewInt(n))
		}
	}
	return nil, wrong
}

func integer(v any) (int64, bool) {
	switch n := v.(type) {
	case int:
		return int64(n), true
	case int8:
		return int64(n), true
	case int16:
		return int64(n), true
	case int32:
		return int64(n), true
	case int64:
		return n, true
	case uint8:
		return int64(n), true
	case uint16:
		return int64(n), true
	case uint32:
		return int64(n), true
	}
	return 0, false
}

// encodeInt writes n in two's complement, as wide as the column.
func encodeInt(col *column, n *big.Int) ([]byte, error) {
	size := col.typ.Size()
	switch col.typ {
	case kudu.Bool, kudu.Float, kudu.Double, kudu.IsDeleted:
		size = 0
	}
	if size == 0 {
		return nil, fmt.Errorf("column %q: an integer can't be a %s", col.name, col.typ)
	}
	limit := new(big.Int).Lsh(big.NewInt(1), uint(8*size-1))
	if n.Cmp(limit) >= 0 || n.Cmp(new(big.Int).Neg(limit)) < 0 {
		return nil, fmt.Errorf("column %q: %v is out of the range of %s", col.name, n, col.typ)
	}
	if n.Sign() < 0 {
		n = new(big.Int).Add(n, new(big.Int).Lsh(limit, 1))
	}
	cell := make([]byte, size)
	for i, b := range n.Bytes() {
		cell[len(n.Bytes())-1-i] = b
	}
	return cell, nil
}
