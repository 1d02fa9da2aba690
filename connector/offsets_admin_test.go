package connector

import (
	"encoding/json"
	"errors"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kudu2kafka/kudu2kafka/offsets"
)

// published runs the connector until as many records are visible, and stops it.
func (s *stack) published(i *instance, records int) {
	s.t.Helper()
	stop := s.run(i)
	defer stop()
	s.awaitRows(i, records)
}

func listed(t *testing.T, a *OffsetsAdmin) []StoredOffset {
	t.Helper()
	list, err := a.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestResetConnectorPublishesAllRowsAnew(t *testing.T) {
	s := newStack(t)
	s.insert(80)
	i := s.instance(2)
	a := &OffsetsAdmin{i}
	if got := listed(t, a); len(got) != 0 {
		t.Errorf("a connector that never ran has %v", got)
	}
	if got, err := a.Reset(t.Context(), false); err != nil || len(got) != 0 {
		t.Errorf("its reset gives %v, %v", got, err)
	}
	s.published(i, 80)
	list := listed(t, a)
	if len(list) != 4 {
		t.Fatalf("%d offsets, want those of 4 tablets", len(list))
	}
	for _, o := range list {
		if pos, err := offsets.ParsePosition(o.Position); err != nil || pos.TableID != s.table.ID() || o.Table != testKey.Table {
			t.Errorf("offset %+v: %+v, %v", o, pos, err)
		}
	}
	would, err := a.Reset(t.Context(), true)
	if err != nil || len(would) < 4 || len(listed(t, a)) != 4 {
		t.Errorf("the dry run gives %v, %v, and leaves %d offsets", would, err, len(listed(t, a)))
	}
	if did, err := a.Reset(t.Context(), false); err != nil || len(did) != len(would) {
		t.Errorf("the reset gives %v, %v, and the dry run gave %v", did, err, would)
	}
	if got := listed(t, a); len(got) != 0 {
		t.Errorf("after the reset there are %v", got)
	}
	s.published(i, 160)
}

func TestAlteredPositionIsWhereItsTabletGoesOn(t *testing.T) {
	s := newStack(t)
	s.insert(40)
	i := s.instance(2)
	a := &OffsetsAdmin{i}
	s.published(i, 40)
	early := listed(t, a)
	s.insert(40)
	s.published(i, 80)
	// One tablet goes back to where it was, another to its start.
	changes := []StoredOffset{early[0], {Table: early[1].Table, Tablet: early[1].Tablet}}
	would, err := a.Alter(t.Context(), changes, true)
	if err != nil || len(would) != 2 || would[0].From == nil || string(would[0].To) != string(early[0].Position) || would[1].To != nil {
		t.Fatalf("the dry run gives %v, %v", would, err)
	}
	if _, err := a.Alter(t.Context(), changes, false); err != nil {
		t.Fatal(err)
	}
	list := listed(t, a)
	if len(list) != 3 || string(list[0].Position) != string(early[0].Position) {
		t.Errorf("there are %v", list)
	}
	if again, err := a.Alter(t.Context(), changes[:1], false); err != nil || len(again) != 0 {
		t.Errorf("the same again gives %v, %v", again, err)
	}
	// What is published anew: the rows of the first tablet since, all of the second.
	again := 0
	for _, key := range s.tabletsOfRows() {
		switch key.tablet {
		case early[0].Tablet:
			if key.row >= 40 {
				again++
			}
		case early[1].Tablet:
			again++
		}
	}
	if again == 0 {
		t.Fatal("the two tablets have no rows")
	}
	s.published(i, 80+again)
}

func TestOffsetsOfOneConnectorStartAnother(t *testing.T) {
	s := newStack(t)
	s.insert(40)
	i := s.instance(2)
	s.published(i, 40)
	list := listed(t, &OffsetsAdmin{i})
	other := s.instance(3)
	other.cfg.Name = "copy"
	s.insert(10)
	b := &OffsetsAdmin{other}
	if did, err := b.Alter(t.Context(), list, false); err != nil || len(did) != 4 {
		t.Fatalf("%v, %v", did, err)
	}
	s.published(other, 50)
}

// tabletRow is where a row is.
type tabletRow struct {
	tablet string
	row    int
}

// tabletsOfRows reads the topic for the tablet of each row, published once.
func (s *stack) tabletsOfRows() []tabletRow {
	s.t.Helper()
	client := s.consumer()
	defer client.Close()
	var all []tabletRow
	for len(all) < s.rows {
		for _, r := range client.PollFetches(s.t.Context()).Records() {
			var key struct{ ID int }
			if err := json.Unmarshal(r.Key, &key); err != nil {
				s.t.Fatal(err)
			}
			all = append(all, tabletRow{string(r.Headers[1].Value), key.ID})
		}
	}
	return all
}

func TestChangesThatDoNotFitAreRefusedAsAWhole(t *testing.T) {
	s := newStack(t)
	s.insert(40)
	i := s.instance(2)
	a := &OffsetsAdmin{i}
	s.published(i, 40)
	list := listed(t, a)
	good := StoredOffset{Table: list[0].Table, Tablet: list[0].Tablet}
	with := func(from, to string) json.RawMessage {
		return json.RawMessage(strings.Replace(string(list[1].Position), from, to, 1))
	}
	for what, bad := range map[string]StoredOffset{
		"needs a table and a tablet": {Table: list[1].Table},
		"is given twice":             good,
		"has no tablet x":            {Table: list[1].Table, Tablet: "x", Position: list[1].Position},
		"reads table":                {Table: "other", Tablet: list[1].Tablet, Position: list[1].Position},
		"has no position of tablet":  {Table: "other", Tablet: list[1].Tablet},
		"no member \"version\"":      {Table: list[1].Table, Tablet: list[1].Tablet, Position: json.RawMessage(`{}`)},
		"has the id":                 {Table: list[1].Table, Tablet: list[1].Tablet, Position: with(s.table.ID(), "another")},
		"runs in mode":               {Table: list[1].Table, Tablet: list[1].Tablet, Position: with(`"mode":"offset"`, `"mode":"sweep"`)},
		"doesn't fit":                {Table: list[1].Table, Tablet: list[1].Tablet, Position: with(`"primary_key":{"id":`, `"primary_key":{"a":1,"id":`)},
	} {
		_, err := a.Alter(t.Context(), []StoredOffset{good, bad}, false)
		var invalid *OffsetsInvalidError
		if !errors.As(err, &invalid) || !strings.Contains(err.Error(), what) {
			t.Errorf("%+v: %v, want %q", bad, err, what)
		}
	}
	if _, err := a.Alter(t.Context(), nil, false); err == nil {
		t.Error("no change at all is taken")
	}
	if got := listed(t, a); len(got) != 4 {
		t.Errorf("%d offsets are left, want 4", len(got))
	}
}

func TestChangeIsNotCommittedOnceAWorkerHasJoined(t *testing.T) {
	s := newStack(t)
	s.insert(40)
	i := s.instance(2)
	a := &OffsetsAdmin{i}
	s.published(i, 40)
	var asked atomic.Int32
	s.kafka.ControlKey(int16(kmsg.DescribeGroups), func(r kmsg.Request) (kmsg.Response, error, bool) {
		s.kafka.KeepControl()
		if asked.Add(1) == 1 {
			return nil, nil, false
		}
		req, _ := r.(*kmsg.DescribeGroupsRequest)
		resp, _ := r.ResponseKind().(*kmsg.DescribeGroupsResponse)
		for _, name := range req.Groups {
			group := kmsg.NewDescribeGroupsResponseGroup()
			group.Group, group.State = name, "Stable"
			member := kmsg.NewDescribeGroupsResponseGroupMember()
			member.ClientID, member.ClientHost = "late", "/10.0.0.9"
			group.Members = append(group.Members, member)
			resp.Groups = append(resp.Groups, group)
		}
		return resp, nil, true
	})
	_, err := a.Reset(t.Context(), false)
	var busy *OffsetsBusyError
	if !errors.As(err, &busy) || !strings.Contains(err.Error(), "late at /10.0.0.9") || asked.Load() != 2 {
		t.Errorf("after %d questions: %v", asked.Load(), err)
	}
	if got := listed(t, a); len(got) != 4 {
		t.Errorf("%d offsets are left, want 4", len(got))
	}
	s.published(i, 40)
	s.wantAll()
}

func TestJournalIsNeverOrphanedByAReset(t *testing.T) {
	s := newStack(t)
	s.insert(40)
	i := s.instance(2)
	a := &OffsetsAdmin{i}
	s.published(i, 40)
	tablet := listed(t, a)[0]
	key := offsets.JournalKey{Connector: i.cfg.Name, Table: tablet.Table, Tablet: tablet.Tablet, ID: "1"}
	r, err := offsets.JournalRecord(i.cfg.OffsetsTopic("g"), 1, key, offsets.Journal{TableID: s.table.ID(), Action: "delete", Hash: offsets.HashXX64})
	if err != nil {
		t.Fatal(err)
	}
	p, err := openProducer(t.Context(), i.planProducer())
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	if err := commitRecords(t.Context(), p, []*kgo.Record{r}); err != nil {
		t.Fatal(err)
	}
	var busy *OffsetsBusyError
	if _, err := a.Reset(t.Context(), false); !errors.As(err, &busy) || !strings.Contains(err.Error(), "yet to be swept") {
		t.Errorf("reset gives %v", err)
	}
	if _, err := a.Alter(t.Context(), []StoredOffset{{Table: tablet.Table, Tablet: tablet.Tablet}}, false); !errors.As(err, &busy) {
		t.Errorf("alter gives %v", err)
	}
}

// A broker that hears of a topic some moments after the one that was asked first says
// that there is no such topic.
func TestOffsetsOfANewConnectorAreStoredThoughABrokerLags(t *testing.T) {
	s := newStack(t)
	s.insert(40)
	i := s.instance(2)
	s.published(i, 40)
	list := listed(t, &OffsetsAdmin{i})

	other := s.instance(2)
	other.cfg.Name = "other"
	a := &OffsetsAdmin{other}
	topic := other.cfg.OffsetsTopic("g")
	lags := 0
	s.kafka.ControlKey(int16(kmsg.Metadata), func(r kmsg.Request) (kmsg.Response, error, bool) {
		s.kafka.KeepControl()
		req := r.(*kmsg.MetadataRequest)
		// What makes the topic asks with authorized operations.
		if lags == 3 || req.IncludeTopicAuthorizedOperations || len(req.Topics) != 1 || req.Topics[0].Topic == nil || *req.Topics[0].Topic != topic {
			return nil, nil, false
		}
		lags++
		resp := req.ResponseKind().(*kmsg.MetadataResponse)
		host, port, _ := net.SplitHostPort(s.kafka.ListenAddrs()[0])
		n, _ := strconv.Atoi(port)
		resp.Brokers = []kmsg.MetadataResponseBroker{{Host: host, Port: int32(n)}}
		one := kmsg.NewMetadataResponseTopic()
		one.Topic, one.ErrorCode = &topic, kerr.UnknownTopicOrPartition.Code
		resp.Topics = append(resp.Topics, one)
		return resp, nil, true
	})
	if _, err := a.Alter(t.Context(), list, false); err != nil {
		t.Fatal(err)
	}
	if got := listed(t, a); lags != 3 || len(got) != len(list) {
		t.Errorf("after %d answers that lag there are %d of %d offsets", lags, len(got), len(list))
	}
}
