package rest

import (
	"net/http"

	"github.com/kudu2kafka/kudu2kafka/internal/herder"
)

func (s *Server) pause(c *call) (answer, error) {
	return answer{status: http.StatusAccepted}, s.api.SetTarget(c.r.Context(), c.name(), herder.TargetPaused)
}

func (s *Server) resume(c *call) (answer, error) {
	return answer{status: http.StatusAccepted}, s.api.SetTarget(c.r.Context(), c.name(), herder.TargetRunning)
}

func (s *Server) stop(c *call) (answer, error) {
	return answer{status: http.StatusNoContent}, s.api.SetTarget(c.r.Context(), c.name(), herder.TargetStopped)
}

// restart of the connector alone has nothing to show; with either flag Connect
// shows what it is about to restart.
func (s *Server) restart(c *call) (answer, error) {
	includeTasks, onlyFailed := c.flag("includeTasks", false), c.flag("onlyFailed", false)
	status, err := s.api.Restart(c.r.Context(), c.name(), includeTasks, onlyFailed)
	if err != nil {
		return answer{}, err
	}
	if !includeTasks && !onlyFailed {
		return answer{status: http.StatusNoContent}, nil
	}
	status.Tasks = list(status.Tasks)
	return answer{status: http.StatusAccepted, body: status}, nil
}

func (s *Server) restartTask(c *call) (answer, error) {
	task, err := c.task()
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusNoContent}, s.api.RestartTask(c.r.Context(), c.name(), task)
}

func (s *Server) topics(c *call) (answer, error) {
	topics, err := s.api.Topics(c.r.Context(), c.name())
	return answer{status: http.StatusOK, body: map[string]map[string][]string{c.name(): {"topics": list(topics)}}}, err
}

func (s *Server) resetTopics(c *call) (answer, error) {
	return answer{status: http.StatusAccepted}, s.api.ResetTopics(c.r.Context(), c.name())
}
