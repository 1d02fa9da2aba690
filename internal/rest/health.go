package rest

import (
	"context"
	"net/http"
	"time"

	"github.com/kudu2kafka/kudu2kafka/internal/herder"
)

// healthTimeout is how long the herder may take to say how it is.
const healthTimeout = 10 * time.Second

func (s *Server) info(c *call) (answer, error) {
	info, err := s.api.Info(c.r.Context())
	return answer{status: http.StatusOK, body: info}, err
}

// health is Connect's: 200 healthy, 503 starting, 500 unhealthy.
func (s *Server) health(c *call) (answer, error) {
	h := s.askHealth(c.r.Context())
	switch h.Status {
	case "healthy":
		return answer{status: http.StatusOK, body: h}, nil
	case "starting":
		return answer{status: http.StatusServiceUnavailable, body: h}, nil
	}
	return answer{status: http.StatusInternalServerError, body: h}, nil
}

// live tells that the process turns: whoever reads this knows. It asks nobody, so
// that a worker isn't killed because Kafka is away.
func (s *Server) live(*call) (answer, error) {
	return answer{status: http.StatusOK, body: herder.Health{Status: "alive", Message: "The worker answers."}}, nil
}

// ready tells whether the worker can do what it is asked for.
func (s *Server) ready(c *call) (answer, error) {
	h := s.askHealth(c.r.Context())
	if h.Status != "healthy" {
		return answer{status: http.StatusServiceUnavailable, body: h}, nil
	}
	return answer{status: http.StatusOK, body: h}, nil
}

func (s *Server) askHealth(ctx context.Context) herder.Health {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	return s.api.Health(ctx)
}
