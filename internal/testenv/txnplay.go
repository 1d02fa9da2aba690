package testenv

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sync/errgroup"
)

// Playing is a large number of small transactions for one partition.
type Playing struct {
	Addr      string // of the broker
	Topic     string
	Partition int32
	// Transactions is how many; each writes one record and its commit marker.
	Transactions int
	// Record gives the record of the nth transaction. Safe for concurrent use.
	Record func(n int) (key, value []byte)
	// Epoch must be raised for each play into a partition.
	Epoch int16
}

// PlayKafkaProperties are what a broker needs to accept a Playing.
func PlayKafkaProperties() map[string]string {
	return map[string]string{"transaction.partition.verification.enable": "false"}
}

const (
	playConnections = 4
	// playProducers take turns on each connection; their markers go in one
	// request.
	playProducers = 32
	firstPlayID   = 1 << 40 // producer ids that no coordinator has given out
)

// Play writes the transactions much quicker than a transactional producer can,
// which waits for three answers in each. The partition's log gets the same
// batches: it sends the produce requests of the producer, and in the place of the
// coordinator the requests by which that writes the markers. The coordinator
// isn't asked, so the broker must not verify transactions; see
// PlayKafkaProperties.
func Play(ctx context.Context, p Playing) error {
	var group errgroup.Group
	for c := range playConnections {
		from, to := p.Transactions*c/playConnections, p.Transactions*(c+1)/playConnections
		group.Go(func() error {
			conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", p.Addr)
			if err != nil {
				return fmt.Errorf("connecting to the broker: %w", err)
			}
			defer conn.Close()
			defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
			player := &player{Playing: p, conn: conn, firstID: firstPlayID + int64(c*playProducers), format: kmsg.NewRequestFormatter()}
			return player.play(from, to)
		})
	}
	if err := group.Wait(); err != nil {
		return errors.Join(fmt.Errorf("playing transactions into %s-%d: %w", p.Topic, p.Partition, err), ctx.Err())
	}
	return nil
}

// player is one connection. A broker answers the requests of a connection one
// after the other, so they can be sent ahead.
type player struct {
	Playing
	conn    net.Conn
	firstID int64
	format  *kmsg.RequestFormatter
	buf     []byte
	sent    int32 // requests, which number them
}

func (p *player) play(from, to int) error {
	answers := make(chan kmsg.Response, 4*(playProducers+1))
	var group errgroup.Group
	group.Go(func() error {
		err := p.check(answers)
		if err != nil {
			_ = p.conn.Close() // ends the sending
			for range answers {
			}
		}
		return err
	})
	err := p.send(from, to, answers)
	close(answers)
	if failed := group.Wait(); failed != nil {
		return failed
	}
	return err
}

func (p *player) send(from, to int, answers chan<- kmsg.Response) error {
	for sequence := int32(0); from < to; sequence++ {
		markers := kmsg.NewPtrWriteTxnMarkersRequest()
		markers.Version = 1
		for k := int64(0); k < playProducers && from < to; k++ {
			key, value := p.Record(from)
			from++
			if err := p.request(p.produce(p.firstID+k, sequence, key, value), answers); err != nil {
				return err
			}
			m := kmsg.NewWriteTxnMarkersRequestMarker()
			m.ProducerID, m.ProducerEpoch, m.Committed = p.firstID+k, p.Epoch, true
			t := kmsg.NewWriteTxnMarkersRequestMarkerTopic()
			t.Topic, t.Partitions = p.Topic, []int32{p.Partition}
			m.Topics = append(m.Topics, t)
			markers.Markers = append(markers.Markers, m)
		}
		if err := p.request(markers, answers); err != nil {
			return err
		}
	}
	return nil
}

func (p *player) request(r kmsg.Request, answers chan<- kmsg.Response) error {
	p.buf = p.format.AppendRequest(p.buf[:0], r, p.sent)
	p.sent++
	if _, err := p.conn.Write(p.buf); err != nil {
		return err
	}
	answers <- r.ResponseKind()
	return nil
}

// check reads the answers in order.
func (p *player) check(answers <-chan kmsg.Response) error {
	var head [4]byte
	var body []byte
	for r := range answers {
		if _, err := io.ReadFull(p.conn, head[:]); err != nil {
			return err
		}
		n := int(binary.BigEndian.Uint32(head[:]))
		if cap(body) < n {
			body = make([]byte, 2*n)
		}
		body = body[:n]
		if _, err := io.ReadFull(p.conn, body); err != nil {
			return err
		}
		skip := 4 // the request's number
		if r.IsFlexible() {
			skip++ // and no tags
		}
		if err := r.ReadFrom(body[skip:]); err != nil {
			return err
		}
		if err := refusal(r); err != nil {
			return err
		}
	}
	return nil
}

func refusal(r kmsg.Response) error {
	switch r := r.(type) {
	case *kmsg.ProduceResponse:
		for _, t := range r.Topics {
			for _, p := range t.Partitions {
				if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
					return fmt.Errorf("producing: %w", err)
				}
			}
		}
	case *kmsg.WriteTxnMarkersResponse:
		for _, m := range r.Markers {
			for _, t := range m.Topics {
				for _, p := range t.Partitions {
					if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
						return fmt.Errorf("writing a marker: %w", err)
					}
				}
			}
		}
	}
	return nil
}

// produce makes a request with one transactional batch of one record.
func (p *player) produce(id int64, sequence int32, key, value []byte) *kmsg.ProduceRequest {
	record := []byte{0, 0, 0} // attributes, time and offset within the batch
	record = kbin.AppendVarint(record, int32(len(key)))
	record = append(record, key...)
	record = kbin.AppendVarint(record, int32(len(value)))
	record = append(record, value...)
	record = append(record, 0) // headers
	now := time.Now().UnixMilli()
	batch := kmsg.RecordBatch{
		PartitionLeaderEpoch: -1, Magic: 2, Attributes: 1 << 4, // transactional
		FirstTimestamp: now, MaxTimestamp: now, ProducerID: id, ProducerEpoch: p.Epoch, FirstSequence: sequence,
		NumRecords: 1, Records: append(kbin.AppendVarint(nil, int32(len(record))), record...),
	}
	// Offset and length come before what the length counts; the checksum is of
	// what follows it.
	const headLength, checksummed = 12, 21
	raw := batch.AppendTo(nil)
	binary.BigEndian.PutUint32(raw[8:], uint32(len(raw)-headLength))
	binary.BigEndian.PutUint32(raw[checksummed-4:], crc32.Checksum(raw[checksummed:], castagnoli))

	r := kmsg.NewPtrProduceRequest()
	r.Version = 9
	transaction := "played"
	r.TransactionID, r.Acks, r.TimeoutMillis = &transaction, -1, 10_000
	t := kmsg.NewProduceRequestTopic()
	t.Topic = p.Topic
	part := kmsg.NewProduceRequestTopicPartition()
	part.Partition, part.Records = p.Partition, raw
	t.Partitions = append(t.Partitions, part)
	r.Topics = append(r.Topics, t)
	return r
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)
