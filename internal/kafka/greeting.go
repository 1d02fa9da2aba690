package kafka

import (
	"encoding/binary"
	"errors"
	"math"
)

// greeting is what matters of an answer of the authentication.
type greeting struct {
	code       int16
	mechanisms []string // of SaslHandshake
	said       string   // of SaslAuthenticate, for people
}

var errGreeting = errors.New("it answers the authentication by something that can't be read")

// readGreeting reads an answer to SaslHandshake (versions 0 and 1) or SaslAuthenticate
// (0 to 2), behind its size. What isn't one is an error here and doesn't come to the
// client: a count in it that is higher than what there is to be counted would have that
// go round some billion times.
func readGreeting(asked, version int16, body []byte) (greeting, error) {
	f := fields{rest: body}
	f.take(4) // the request's number
	var g greeting
	if asked == keyHandshake {
		g.code = f.int16()
		n := f.int32()
		if int(n) > len(f.rest)/2 {
			return g, errGreeting
		}
		for range n {
			g.mechanisms = append(g.mechanisms, string(f.take(int(f.int16()))))
		}
	} else {
		const flexible = 2
		if version >= flexible {
			f.tags() // of the header
		}
		g.code = f.int16()
		if version >= flexible {
			g.said = string(f.compact())
			f.compact() // what the mechanism says
			f.take(8)   // the session's life
			f.tags()
		} else {
			g.said = string(f.take(max(0, int(f.int16())))) // -1: null
			f.take(max(0, int(f.int32())))
			if version == 1 {
				f.take(8)
			}
		}
	}
	if f.bad {
		return g, errGreeting
	}
	return g, nil
}

// fields are read one behind the other. Behind the end they are all zero, and bad.
type fields struct {
	rest []byte
	bad  bool
}

func (f *fields) take(n int) []byte {
	if n < 0 || n > len(f.rest) {
		f.bad, f.rest = true, nil
		return nil
	}
	field := f.rest[:n]
	f.rest = f.rest[n:]
	return field
}

func (f *fields) int16() int16 {
	if b := f.take(2); b != nil {
		return int16(binary.BigEndian.Uint16(b))
	}
	return 0
}

func (f *fields) int32() int32 {
	if b := f.take(4); b != nil {
		return int32(binary.BigEndian.Uint32(b))
	}
	return 0
}

func (f *fields) uvarint() int {
	v, n := binary.Uvarint(f.rest)
	if n <= 0 || v > math.MaxInt32 {
		f.take(-1)
		return 0
	}
	f.take(n)
	return int(v)
}

// compact is a string or bytes of a flexible version, empty for null.
func (f *fields) compact() []byte { return f.take(max(0, f.uvarint()-1)) }

// tags skips tagged fields.
func (f *fields) tags() {
	n := f.uvarint()
	if n > len(f.rest)/2 { // each has at least a number and a size
		f.take(-1)
		return
	}
	for range n {
		f.uvarint()
		f.take(f.uvarint())
	}
}
