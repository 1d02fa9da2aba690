package krpc

import (
	"context"
	"testing"

	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
)

// BenchmarkCall is a round trip over loopback TCP, against our own server:
// allocations count both sides, and must not grow with the sidecar.
func BenchmarkCall(b *testing.B) {
	for _, bm := range []struct {
		name string
		size int
		tls  bool
	}{{"empty", 0, false}, {"sidecar=1MiB", 1 << 20, false}, {"sidecar=1MiB/tls", 1 << 20, true}} {
		b.Run(bm.name, func(b *testing.B) {
			sidecar := make([]byte, bm.size)
			serverOpts, opts := ServerOptions{}, Options{}
			if bm.tls {
				serverOpts.TLS, opts.TLS = testTLS(b).server, TLSRequired
			}
			addr, _ := listen(b, serverOpts, func(_ context.Context, call *ServerCall) {
				if bm.size == 0 {
					_ = call.Reply(nil)
					return
				}
				_ = call.Reply(nil, sidecar)
			})
			c := connect(b, addr, opts)
			req := request("Scan", "0123456789")
			ctx := context.Background()
			var m pb.JwtRawPB
			b.ReportAllocs()
			b.SetBytes(int64(bm.size))
			for b.Loop() {
				p, err := c.Call(ctx, req, &m)
				if err != nil {
					b.Fatal(err)
				}
				p.Release()
			}
		})
	}
}
