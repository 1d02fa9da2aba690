package rest

import (
	"encoding/json"
	"net/http"

	"github.com/kudu2kafka/kudu2kafka/internal/herder"
)

// message is the body of answers that say what was done.
type message struct {
	Message string `json:"message"`
}

func (s *Server) offsets(c *call) (answer, error) {
	offsets, err := s.api.Offsets(c.r.Context(), c.name())
	offsets.Offsets = list(offsets.Offsets)
	return answer{status: http.StatusOK, body: offsets}, err
}

func (s *Server) alterOffsets(c *call) (answer, error) {
	body, err := decode(c.w, c.r)
	if err != nil {
		return answer{}, err
	}
	members, err := object(body, "The request", "offsets")
	if err != nil {
		return answer{}, err
	}
	var offsets []herder.ConnectorOffset
	if given := members["offsets"]; given != nil && !isNull(given) {
		if offsets, err = offsetList(given, "offsets"); err != nil {
			return answer{}, err
		}
	}
	if len(offsets) == 0 {
		return answer{}, badRequest("Partitions / offsets need to be provided for an alter offsets request")
	}
	done, err := s.api.AlterOffsets(c.r.Context(), c.name(), herder.ConnectorOffsets{Offsets: offsets})
	return answer{status: http.StatusOK, body: message{done}}, err
}

func (s *Server) resetOffsets(c *call) (answer, error) {
	done, err := s.api.ResetOffsets(c.r.Context(), c.name())
	return answer{status: http.StatusOK, body: message{done}}, err
}

// offsetList reads pairs of a partition and an offset, each an object or null.
func offsetList(value json.RawMessage, what string) ([]herder.ConnectorOffset, error) {
	var items []json.RawMessage
	if json.Unmarshal(value, &items) != nil {
		return nil, badRequest("%s must be a list", what)
	}
	read := make([]herder.ConnectorOffset, len(items))
	for i, item := range items {
		pair, err := object(item, "An element of "+what, "partition", "offset")
		if err != nil {
			return nil, err
		}
		for name, part := range pair {
			if isNull(part) {
				continue
			}
			if _, err := object(part, name); err != nil {
				return nil, err
			}
		}
		read[i] = herder.ConnectorOffset{Partition: orNull(pair["partition"]), Offset: orNull(pair["offset"])}
	}
	return read, nil
}

func orNull(value json.RawMessage) json.RawMessage {
	if value == nil {
		return json.RawMessage("null")
	}
	return value
}
