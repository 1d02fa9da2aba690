package secrets

import (
	"encoding/binary"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// serve has each connection answered, and returns the address.
func serve(t *testing.T, answer func(net.Conn)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer conn.Close()
				_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
				answer(conn)
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		serving.Wait()
	})
	return listener.Addr().String()
}

// refuse answers as a Kerberos KDC that takes no password of anybody. Over TCP each
// message follows its length.
func refuse(conn net.Conn) {
	var length uint32
	if binary.Read(conn, binary.BigEndian, &length) != nil || length > 1<<16 {
		return
	}
	if _, err := io.CopyN(io.Discard, conn, int64(length)); err != nil {
		return
	}
	// KRB-ERROR, RFC 4120 section 5.9.1, with KDC_ERR_PREAUTH_FAILED.
	const preauthFailed = 24
	general := func(text string) []byte { return tlv(0x1b, []byte(text)) }
	answer := tlv(0x7e, tlv(0x30,
		tlv(0xa0, tlv(0x02, []byte{5})), tlv(0xa1, tlv(0x02, []byte{30})),
		tlv(0xa4, tlv(0x18, []byte(time.Now().UTC().Format("20060102150405Z")))), tlv(0xa5, tlv(0x02, []byte{0})),
		tlv(0xa6, tlv(0x02, []byte{preauthFailed})),
		tlv(0xa9, general("EXAMPLE.COM")),
		tlv(0xaa, tlv(0x30, tlv(0xa0, tlv(0x02, []byte{2})), tlv(0xa1, tlv(0x30, general("krbtgt"), general("EXAMPLE.COM"))))),
	))
	_, _ = conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(answer))), answer...))
}

// tlv is an element of DER: of less than 256 bytes.
func tlv(tag byte, parts ...[]byte) []byte {
	var body []byte
	for _, p := range parts {
		body = append(body, p...)
	}
	head := []byte{tag, byte(len(body))}
	if len(body) > 127 {
		head = []byte{tag, 0x81, byte(len(body))}
	}
	return append(head, body...)
}
