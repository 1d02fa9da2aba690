package kudu_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"

	"github.com/kudu2kafka/kudu2kafka/kudu"
)

// Scan a table: all rows as of one moment, each tablet in key order.
func ExampleTable_Scan() {
	ctx := context.Background()
	client, err := kudu.New(kudu.Config{Masters: []string{"kudu-1", "kudu-2", "kudu-3"}})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	orders, err := client.OpenTable(ctx, "orders")
	if err != nil {
		log.Fatal(err)
	}
	tablets, err := orders.Tablets(ctx)
	if err != nil {
		log.Fatal(err)
	}
	var snapshot kudu.Timestamp // chosen by the first server
	for _, tablet := range tablets {
		scan, err := orders.Scan(tablet.ID, kudu.ScanOptions{
			Columns: []string{"id", "customer"}, Ordered: true, Snapshot: snapshot,
		})
		if err != nil {
			log.Fatal(err)
		}
		for {
			batch, err := scan.Next(ctx)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				log.Fatal(err)
			}
			ids, customers := batch.Column(0), batch.Column(1)
			for row := range batch.NumRows() {
				// The bytes are borrowed until the next call of Next.
				fmt.Printf("%d: %s\n", ids.Int64(row), customers.Bytes(row))
			}
		}
		snapshot = scan.Snapshot()
		scan.Close()
	}
}

// Scan with predicates. Tablets that can't hold a matching row aren't asked.
func ExampleTable_PruneTablets() {
	ctx := context.Background()
	client, err := kudu.New(kudu.Config{Masters: []string{"kudu-1"}})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	orders, err := client.OpenTable(ctx, "orders")
	if err != nil {
		log.Fatal(err)
	}
	options := kudu.ScanOptions{Predicates: []kudu.Predicate{
		kudu.In("customer", "ann", "bob"),
		kudu.GreaterEqual("amount", "100.00"), // a DECIMAL
		kudu.IsNull("shipped"),
	}}
	tablets, err := orders.PruneTablets(ctx, options)
	if err != nil {
		log.Fatal(err)
	}
	for _, tablet := range tablets {
		scan, err := orders.Scan(tablet.ID, options)
		if err != nil {
			log.Fatal(err)
		}
		for batch, err := scan.Next(ctx); !errors.Is(err, io.EOF); batch, err = scan.Next(ctx) {
			if err != nil {
				log.Fatal(err)
			}
			for row := range batch.NumRows() {
				fmt.Println(batch.Values(row)...)
			}
		}
		scan.Close()
	}
}

// Write rows, and look at those that were refused.
func ExampleTable_NewSession() {
	ctx := context.Background()
	client, err := kudu.New(kudu.Config{Masters: []string{"kudu-1"}})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	orders, err := client.OpenTable(ctx, "orders")
	if err != nil {
		log.Fatal(err)
	}
	session := orders.NewSession(kudu.SessionOptions{})
	defer session.Close()
	row := orders.NewRow()
	for id := range 10_000 {
		row.Reset()
		row.Set("id", id)
		row.Set("customer", "ann")
		row.Set("amount", "19.90")
		if err := session.Apply(ctx, kudu.OpInsert, row); err != nil {
			log.Fatal(err)
		}
	}
	done, err := session.Flush(ctx)
	var failed *kudu.FlushError
	switch {
	case errors.Is(err, kudu.ErrOutcomeUnknown):
		log.Fatal("some rows may be written or not: ", err)
	case errors.As(err, &failed):
		for _, refused := range failed.Rows {
			fmt.Println(refused.Key, refused.Code) // such as [7] ALREADY_PRESENT
		}
	case err != nil:
		log.Fatal(err)
	}
	fmt.Println(done.Rows, "rows, the last at", done.Timestamp)
}

// Follow a table's changes by diff scans, one after another.
func ExampleScanOptions_diff() {
	ctx := context.Background()
	client, err := kudu.New(kudu.Config{Masters: []string{"kudu-1"}})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	orders, err := client.OpenTable(ctx, "orders")
	if err != nil {
		log.Fatal(err)
	}
	changes := func(since, until kudu.Timestamp, tablet string) error {
		scan, err := orders.Scan(tablet, kudu.ScanOptions{Since: since, Snapshot: until})
		if err != nil {
			return err
		}
		defer scan.Close()
		for {
			batch, err := scan.Next(ctx)
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err // kudu.ErrSnapshotTooOld: Kudu has forgotten; start over
			}
			for row := range batch.NumRows() {
				if batch.Deleted(row) {
					fmt.Println("deleted", batch.Column(0).Int64(row)) // only the key means anything
				} else {
					fmt.Println("changed", batch.Values(row))
				}
			}
		}
	}
	tablets, err := orders.Tablets(ctx)
	if err != nil {
		log.Fatal(err)
	}
	for _, tablet := range tablets {
		// All changes below a barrier are final, whatever leaders do.
		since, err := orders.Barrier(ctx, tablet.ID)
		if err != nil {
			log.Fatal(err)
		}
		for range 3 {
			until, err := orders.Barrier(ctx, tablet.ID)
			if err != nil {
				log.Fatal(err)
			}
			if err := changes(since, until, tablet.ID); err != nil {
				log.Fatal(err)
			}
			since = until
		}
	}
}

// Create a table that is partitioned by hash and range.
func ExampleClient_CreateTable() {
	ctx := context.Background()
	client, err := kudu.New(kudu.Config{Masters: []string{"kudu-1"}})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	table, err := client.CreateTable(ctx, kudu.TableSpec{
		Name: "events",
		Columns: []kudu.Column{
			{Name: "time", Type: kudu.UnixtimeMicros, Key: true},
			{Name: "id", Type: kudu.Int64, Key: true},
			{Name: "amount", Type: kudu.Decimal64, Precision: 12, Scale: 2, Nullable: true},
		},
		Hash:   []kudu.HashDimension{{Columns: []string{"id"}, Buckets: 4}},
		Range:  []string{"time"},
		Ranges: []kudu.RangePartition{{Lower: []any{0}, Upper: []any{1_000_000}}},
	})
	if err != nil {
		log.Fatal(err)
	}
	table, err = table.Alter(ctx, kudu.AddRange(kudu.RangePartition{Lower: []any{1_000_000}, Upper: []any{2_000_000}}))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(table.Schema())
}
