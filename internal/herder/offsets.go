package herder

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/kudu2kafka/kudu2kafka/connector"
)

// partition is that of a stored position, in the words of Kafka Connect.
type partition struct {
	Table  string `json:"table"`
	Tablet string `json:"tablet"`
}

// Offsets are the positions that are committed now.
func (h *Herder) Offsets(ctx context.Context, name string) (ConnectorOffsets, error) {
	h.mu.Lock()
	err := h.ready()
	var cfg connector.Config
	if err == nil {
		cfg, err = h.usable(name)
	}
	h.mu.Unlock()
	if err != nil {
		return ConnectorOffsets{}, err
	}
	admin, err := connector.NewOffsetsAdmin(cfg, h.config, h.logger)
	if err != nil {
		return ConnectorOffsets{}, unavailable("The offsets could not be read", err)
	}
	defer admin.Close()
	stored, err := admin.List(ctx)
	if err != nil {
		return ConnectorOffsets{}, unavailable("The offsets could not be read", err)
	}
	all := ConnectorOffsets{Offsets: []ConnectorOffset{}}
	for _, o := range stored {
		key, err := encodeJSON(partition{o.Table, o.Tablet})
		if err != nil {
			return ConnectorOffsets{}, fmt.Errorf("encoding a partition: %w", err)
		}
		value := o.Position
		if !json.Valid(value) {
			if value, err = json.Marshal(string(o.Position)); err != nil { // for a hand to put right
				return ConnectorOffsets{}, fmt.Errorf("encoding an offset: %w", err)
			}
		}
		all.Offsets = append(all.Offsets, ConnectorOffset{Partition: key, Offset: value})
	}
	return all, nil
}

// AlterOffsets changes the positions that are given.
func (h *Herder) AlterOffsets(ctx context.Context, name string, offsets ConnectorOffsets) (string, error) {
	cfg, err := h.stopped(ctx, name)
	if err != nil {
		return "", err
	}
	if len(offsets.Offsets) == 0 {
		return "", &Error{Kind: Invalid, Message: "Partitions / offsets need to be provided for an alter offsets request"}
	}
	if err := h.alter(ctx, cfg, offsets); err != nil {
		return "", err
	}
	return "The offsets for this connector have been altered successfully", nil
}

// ResetOffsets deletes all positions.
func (h *Herder) ResetOffsets(ctx context.Context, name string) (string, error) {
	cfg, err := h.stopped(ctx, name)
	if err != nil {
		return "", err
	}
	admin, err := connector.NewOffsetsAdmin(cfg, h.config, h.logger)
	if err != nil {
		return "", unavailable("The offsets could not be reset", err)
	}
	defer admin.Close()
	changes, err := admin.Reset(ctx, false)
	if err != nil {
		return "", refusal("The offsets could not be reset", err)
	}
	h.logger.Info("offsets are reset", "connector", name, "records", len(changes))
	return "The offsets for this connector have been reset successfully", nil
}

// stopped gives the configuration of a connector whose target is STOPPED.
func (h *Herder) stopped(ctx context.Context, name string) (connector.Config, error) {
	if err := h.refresh(ctx); err != nil {
		return connector.Config{}, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	cfg, err := h.usable(name)
	if err == nil && h.target(name) != connector.TargetStopped {
		err = &Error{Kind: Invalid, Message: fmt.Sprintf("Connectors must be in the STOPPED state before their offsets can be modified. This can be done for the specified connector by issuing a 'PUT' request to the '/connectors/%s/stop' endpoint", name)}
	}
	return cfg, err
}

func (h *Herder) alter(ctx context.Context, cfg connector.Config, offsets ConnectorOffsets) error {
	var changes []connector.StoredOffset
	for _, o := range offsets.Offsets {
		var p partition
		d := json.NewDecoder(bytes.NewReader(o.Partition))
		d.DisallowUnknownFields()
		err := d.Decode(&p)
		if _, more := d.Token(); err == nil && !errors.Is(more, io.EOF) {
			err = errors.New("more than one value")
		}
		if err != nil {
			return &Error{Kind: Invalid, Message: fmt.Sprintf("The partition %s isn't one of this connector, such as {\"table\":%q,\"tablet\":\"...\"}: %v", o.Partition, cfg.KuduTable, err)}
		}
		change := connector.StoredOffset{Table: p.Table, Tablet: p.Tablet}
		if value := bytes.TrimSpace(o.Offset); len(value) > 0 && string(value) != "null" {
			change.Position = value
		}
		changes = append(changes, change)
	}
	admin, err := connector.NewOffsetsAdmin(cfg, h.config, h.logger)
	if err != nil {
		return unavailable("The offsets could not be altered", err)
	}
	defer admin.Close()
	done, err := admin.Alter(ctx, changes, false)
	if err != nil {
		return refusal("The offsets could not be altered", err)
	}
	h.logger.Info("offsets are altered", "connector", cfg.Name, "positions", len(done))
	return nil
}

// refusal gives a failure its kind.
func refusal(doing string, err error) error {
	var invalid *connector.OffsetsInvalidError
	var busy *connector.OffsetsBusyError
	switch {
	case errors.As(err, &invalid):
		return &Error{Kind: Invalid, Message: invalid.Error(), Cause: err}
	case errors.As(err, &busy):
		return &Error{Kind: Conflict, Message: busy.Error(), Cause: err}
	}
	return unavailable(doing, err)
}
