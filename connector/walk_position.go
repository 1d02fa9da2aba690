package connector

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/offsets"
	"github.com/kudu2kafka/kudu2kafka/serde"
)

// storeWalk writes a walk into a position, for people to read.
func (o *order) storeWalk(pos *offsets.Position, w *walk) error {
	out := &offsets.Walk{Closed: w.closed}
	primary, err := kudu.DecodeKey(o.primary, w.after)
	if err != nil {
		return fmt.Errorf("rendering a position: %w", err)
	}
	if out.After, err = serde.MarshalValues(o.primary, primary); err != nil {
		return fmt.Errorf("rendering a position: %w", err)
	}
	if w.greatest != nil {
		var greatest offsets.Position
		if err := o.store(&greatest, w.greatest); err != nil {
			return err
		}
		out.GreatestKey, out.GreatestPrimaryKey = greatest.Key, greatest.PrimaryKey
	}
	if out.From, err = o.storeBound(w.from); err != nil {
		return err
	}
	if out.Until, err = o.storeBound(w.until); err != nil {
		return err
	}
	pos.Phase, pos.Walk = phaseWalk, out
	return nil
}

// restoreWalk reads a walk back.
func (o *order) restoreWalk(pos offsets.Position, base []byte) (*walk, error) {
	if pos.Walk == nil || pos.Walk.After == nil {
		return nil, &FatalError{fmt.Errorf("its phase is %q, but it doesn't say which row was walked last", pos.Phase)}
	}
	w := &walk{base: base, snapshot: kudu.Timestamp(pos.Snapshot), closed: pos.Walk.Closed}
	primary, err := restoreValues(o.primary, pos.Walk.After, false)
	if err != nil {
		return nil, &FatalError{fmt.Errorf("its walk's last row doesn't fit the table: %w", err)}
	}
	if w.after, err = fatalKey(kudu.EncodeKey(o.primary, primary)); err != nil {
		return nil, err
	}
	if pos.Walk.GreatestPrimaryKey != nil {
		w.greatest, err = o.restore(offsets.Position{Key: pos.Walk.GreatestKey, PrimaryKey: pos.Walk.GreatestPrimaryKey, Columns: pos.Columns})
		if err != nil {
			return nil, err
		}
	}
	if w.closed && w.greatest == nil {
		return nil, &FatalError{fmt.Errorf("its walk is closed, but doesn't say at which key")}
	}
	if w.from, err = o.restoreBound(pos.Walk.From, pos.Columns); err != nil {
		return nil, err
	}
	w.until, err = o.restoreBound(pos.Walk.Until, pos.Columns)
	return w, err
}

// storeBound renders what bound has made: the values of the streaming key, but
// for the least ones at its end that bound has filled in.
func (o *order) storeBound(key []byte) (json.RawMessage, error) {
	if key == nil {
		return nil, nil
	}
	streaming, _, err := o.split(key)
	if err != nil {
		return nil, fmt.Errorf("rendering a bound: %w", err)
	}
	n := len(streaming)
	for ; n > 0; n-- {
		shorter, err := o.bound(streaming[:n-1])
		if err != nil {
			return nil, fmt.Errorf("rendering a bound: %w", err)
		}
		if !bytes.Equal(shorter, key) {
			break
		}
	}
	return serde.MarshalValues(o.streaming[:n], streaming[:n])
}

func (o *order) restoreBound(stored json.RawMessage, ids map[string]int32) ([]byte, error) {
	if stored == nil {
		return nil, nil
	}
	var members map[string]json.RawMessage
	err := json.Unmarshal(stored, &members)
	if err != nil || len(members) > len(o.streaming) {
		return nil, &FatalError{fmt.Errorf("the bound %s of its walk doesn't fit the streaming key", stored)}
	}
	certain, err := o.sameColumns(stored, nil, ids)
	if err != nil {
		return nil, err
	}
	cols := o.streaming[:len(members)]
	values, err := restoreValues(cols, stored, certain)
	if err != nil {
		return nil, &FatalError{fmt.Errorf("a bound of its walk doesn't fit the streaming key: %w", err)}
	}
	return o.bound(values)
}
