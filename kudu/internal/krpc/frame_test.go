package krpc

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"runtime"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
)

func TestClientSendsTheBytesOfTheVectors(t *testing.T) {
	v := vectors(t)
	expect := func(nc net.Conn, name string) {
		got := make([]byte, len(v[name]))
		if _, err := io.ReadFull(nc, got); err != nil {
			t.Errorf("%s: %v", name, err)
		} else if !bytes.Equal(got, v[name]) {
			t.Errorf("%s:\n got % x\nwant % x", name, got, v[name])
		}
	}
	opts := script(t, func(nc net.Conn) {
		expect(nc, "preamble")
		expect(nc, "negotiate")
		_, _ = nc.Write(v["negotiate-answer"])
		expect(nc, "sasl-initiate")
		success, err := EncodeResponse(negotiateCallID, &pb.NegotiatePB{Step: pb.NegotiatePB_SASL_SUCCESS.Enum()})
		if err != nil {
			t.Error(err)
		}
		_, _ = nc.Write(success)
		expect(nc, "connection-context")
	})
	c := connect(t, "vectors", opts)
	if got := c.Negotiated(); got.Authn != AuthnSASL || got.Mechanism != "PLAIN" || got.TLS != nil || got.Encrypted || len(got.Features) != 3 {
		t.Errorf("negotiated %+v", got)
	}

	header, err := appendRequestHeader(nil, 0, &Request{Service: MasterService, Method: "ConnectToMaster"}, 10_000)
	if err != nil {
		t.Fatal(err)
	}
	buf, err := buildFrame(header, nil, nil, ServerMaxFrameBytes)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(buf.b, v["connect-to-master"]) {
		t.Errorf("ConnectToMaster:\n got % x\nwant % x", buf.b, v["connect-to-master"])
	}
}

func TestServerAnswersTheBytesOfTheVectors(t *testing.T) {
	v := vectors(t)
	srv := NewServer(ServerOptions{TLS: testTLS(t).server, TLSAuthOnly: true}, echo)
	client, server := net.Pipe()
	served := make(chan error, 1)
	go func() { served <- srv.ServeConn(server) }()
	go func() { _, _ = client.Write(append(bytes.Clone(v["preamble"]), v["negotiate"]...)) }()
	got := make([]byte, len(v["negotiate-answer"]))
	if _, err := io.ReadFull(client, got); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, v["negotiate-answer"]) {
		t.Errorf("\n got % x\nwant % x", got, v["negotiate-answer"])
	}
	client.Close()
	<-served
}

func TestFrameReaderRefusesWhatIsNotAFrame(t *testing.T) {
	frameOf := func(b ...byte) []byte {
		return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...)
	}
	for _, tc := range []struct {
		name string
		in   []byte
		want error
	}{
		{"nothing", nil, io.EOF},
		{"half a length", []byte{0, 0}, io.ErrUnexpectedEOF},
		{"length alone", []byte{0, 0, 0, 9}, io.ErrUnexpectedEOF},
		{"cut body", frameOf(1, 8, 1, 1)[:6], io.ErrUnexpectedEOF},
		{"empty", frameOf(), ErrMalformed},
		{"no body length", frameOf(1, 8), ErrMalformed},
		{"header beyond the frame", frameOf(9, 8, 1), ErrMalformed},
		{"body beyond the frame", frameOf(0, 9, 1), ErrMalformed},
		{"bytes behind the body", frameOf(0, 1, 1, 1), ErrMalformed},
		{"endless varint", frameOf(bytes.Repeat([]byte{0xff}, 12)...), ErrMalformed},
		{"huge header length", frameOf(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0), ErrMalformed},
		{"too large", []byte{0, 1, 0, 1}, ErrFrameTooLarge},
		{"negative", []byte{0xff, 0xff, 0xff, 0xff}, ErrFrameTooLarge},
		{"header too large", append(frameOf(protowire.AppendBytes(nil, make([]byte, 60_000))...), 0), ErrMalformed},
	} {
		fr := frameReader{r: bytes.NewReader(tc.in), max: 65536}
		if f, err := fr.next(); !errors.Is(err, tc.want) {
			t.Errorf("%s: got %v, %v, want %v", tc.name, f, err, tc.want)
		}
	}
}

func TestFrameReaderSetsNoMemoryAsideForALiar(t *testing.T) {
	claim := append(binary.BigEndian.AppendUint32(nil, 200<<20), make([]byte, 10)...)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	fr := frameReader{r: bytes.NewReader(claim), max: DefaultMaxFrameBytes}
	if _, err := fr.next(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatalf("got %v", err)
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 1<<20 {
		t.Errorf("%d bytes were allocated for 14 bytes of input", got)
	}
}

func TestFrameReaderReadsLargeFramesPieceByPiece(t *testing.T) {
	body := make([]byte, 5<<20)
	for i := range body {
		body[i] = byte(i * 7)
	}
	buf, err := buildFrame([]byte{8, 1}, nil, [][]byte{body}, DefaultMaxFrameBytes)
	if err != nil {
		t.Fatal(err)
	}
	stream := append(bytes.Clone(buf.b), buf.b...)
	fr := frameReader{r: bytes.NewReader(stream), max: DefaultMaxFrameBytes}
	for range 2 {
		f, err := fr.next()
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(f.body, body) {
			t.Error("body differs")
		}
		f.buf.release()
	}
	if _, err := fr.next(); err != io.EOF {
		t.Errorf("got %v at the end", err)
	}
}

func TestResponseHeaderIsChecked(t *testing.T) {
	header := func(id int64, offsets ...uint64) []byte {
		b := protowire.AppendVarint(protowire.AppendTag(nil, responseCallID, protowire.VarintType), uint64(id))
		for _, o := range offsets {
			b = protowire.AppendVarint(protowire.AppendTag(b, responseSidecarOffsets, protowire.VarintType), o)
		}
		return b
	}
	packed := protowire.AppendBytes(protowire.AppendTag(header(4), responseSidecarOffsets, protowire.BytesType), []byte{1, 1, 9})
	for _, tc := range []struct {
		name    string
		in      []byte
		body    int
		offsets int // -1: malformed
	}{
		{"plain", header(7), 3, 0},
		{"sidecars, some empty, the last at the end", header(7, 0, 0, 2, 3), 3, 4},
		{"packed offsets", packed, 9, 3},
		{"unknown field", append(header(1), 0x7a, 1, 'x'), 0, 0},
		{"no call id", []byte{0x10, 1}, 0, -1},
		{"call id beyond 32 bits", header(1 << 40), 0, -1},
		{"offsets go back", header(1, 5, 4), 9, -1},
		{"offset behind the body", header(1, 5, 10), 9, -1},
		{"huge offset", header(1, 1<<40), 9, -1},
		{"cut", header(1)[:1], 0, -1},
		{"too many sidecars", header(1, make([]uint64, MaxSidecars+1)...), 0, -1},
		{"as many sidecars as allowed", header(1, make([]uint64, MaxSidecars)...), 0, MaxSidecars},
	} {
		h, err := parseResponseHeader(tc.in, nil)
		if err == nil {
			err = h.check(make([]byte, tc.body))
		}
		switch {
		case tc.offsets < 0 && !errors.Is(err, ErrMalformed):
			t.Errorf("%s: got %+v, %v", tc.name, h, err)
		case tc.offsets >= 0 && (err != nil || len(h.offsets) != tc.offsets):
			t.Errorf("%s: got %d offsets, %v", tc.name, len(h.offsets), err)
		}
	}
}

func TestBufferClassesAreTight(t *testing.T) {
	last := 0
	for class := range numClasses {
		size := classBytes(class)
		if got := classOf(size); got != class {
			t.Errorf("classOf(%d) = %d, want %d", size, got, class)
		}
		if got := classOf(last + 1); got != class {
			t.Errorf("classOf(%d) = %d, want %d", last+1, got, class)
		}
		last = size
	}
	if last != 64<<20 || classOf(last+1) != unpooled {
		t.Errorf("largest class holds %d", last)
	}
}
