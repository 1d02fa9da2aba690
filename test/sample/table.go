package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/kudu2kafka/kudu2kafka/kudu"
)

// makeTable makes the table, if it isn't there.
func makeTable(ctx context.Context, client *kudu.Client, s settings, out io.Writer) error {
	return again(ctx, s, out, "make the table", func(ctx context.Context) error {
		_, err := client.OpenTable(ctx, s.table)
		if err == nil {
			fmt.Fprintf(out, "table %s is there\n", s.table)
			return nil
		}
		if !errors.Is(err, kudu.ErrTableNotFound) {
			return err
		}
		for _, replicas := range s.replicas {
			if _, err = client.CreateTable(ctx, spec(s, replicas)); err == nil {
				fmt.Fprintf(out, "table %s is made: %d tablets, replication factor %d\n", s.table, s.tablets, replicas)
				return nil
			}
			if kudu.Retriable(err) {
				break // it isn't the number of servers
			}
		}
		return err
	})
}

func spec(s settings, replicas int) kudu.TableSpec {
	return kudu.TableSpec{
		Name: s.table,
		Columns: []kudu.Column{
			{Name: "event_time", Type: kudu.UnixtimeMicros, Key: true},
			{Name: "id", Type: kudu.Int64, Key: true},
			{Name: "user", Type: kudu.String},
			{Name: "amount", Type: kudu.Double},
		},
		Hash:     []kudu.HashDimension{{Columns: []string{"id"}, Buckets: s.tablets}},
		Replicas: replicas,
		Comment:  "orders that nobody placed, for trying kudu2kafka",
	}
}
