package rest

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/kudu2kafka/kudu2kafka/internal/herder"
)

// invalidConfig is Connect's frame around faults of a configuration.
func invalidConfig(fault string) error {
	return badRequest("Connector configuration is invalid and contains the following 1 error(s):\n%s\n"+
		"You can also find the above list of errors at the endpoint `/connector-plugins/{connectorType}/config/validate`", fault)
}

// expanded is a connector with what ?expand= asked for.
type expanded struct {
	Status *herder.ConnectorStatus `json:"status,omitempty"`
	Info   *herder.ConnectorInfo   `json:"info,omitempty"`
}

func (s *Server) connectors(c *call) (answer, error) {
	ctx := c.r.Context()
	names, err := s.api.Connectors(ctx)
	if err != nil {
		return answer{}, err
	}
	wanted, expand := c.query()["expand"]
	if !expand {
		return answer{status: http.StatusOK, body: list(names)}, nil
	}
	all := map[string]expanded{}
	for _, name := range names {
		var e expanded
		var statusErr, infoErr error
		if slices.Contains(wanted, "status") {
			var status herder.ConnectorStatus
			status, statusErr = s.api.Status(ctx, name)
			status.Tasks = list(status.Tasks)
			e.Status = &status
		}
		if slices.Contains(wanted, "info") {
			var info herder.ConnectorInfo
			info, infoErr = s.api.Connector(ctx, name)
			e.Info = whole(info)
		}
		err := errors.Join(statusErr, infoErr)
		var refused *herder.Error
		switch {
		case errors.As(err, &refused) && refused.Kind == herder.NotFound:
			continue // deleted since its name was read
		case err != nil:
			return answer{}, err
		}
		all[name] = e
	}
	return answer{status: http.StatusOK, body: all}, nil
}

// whole has no null where Connect has none.
func whole(info herder.ConnectorInfo) *herder.ConnectorInfo {
	info.Tasks = list(info.Tasks)
	if info.Config == nil {
		info.Config = map[string]string{}
	}
	return &info
}

func (s *Server) create(c *call) (answer, error) {
	body, err := decode(c.w, c.r)
	if err != nil {
		return answer{}, err
	}
	request, err := createRequest(body)
	if err != nil {
		return answer{}, err
	}
	info, err := s.api.Create(c.r.Context(), request)
	if err != nil {
		return answer{}, err
	}
	return created(info), nil
}

func created(info herder.ConnectorInfo) answer {
	return answer{status: http.StatusCreated, body: whole(info), location: "/connectors/" + url.PathEscape(info.Name)}
}

// createRequest reads the body of POST /connectors.
func createRequest(body []byte) (herder.CreateRequest, error) {
	var request herder.CreateRequest
	members, err := object(body, "The request", "name", "config", "initial_state", "initial_offsets")
	if err != nil {
		return request, err
	}
	name, err := text(members["name"], "name")
	if err != nil {
		return request, err
	}
	if name != nil {
		request.Name = strings.TrimSpace(*name)
	}
	if members["config"] == nil {
		return request, badRequest("The request has no config")
	}
	if request.Config, err = configuration(members["config"], request.Name); err != nil {
		return request, err
	}
	if request.Name == "" {
		return request, invalidConfig("Invalid value  for configuration name: String may not be empty")
	}
	state, err := text(members["initial_state"], "initial_state")
	if err != nil {
		return request, err
	}
	if state != nil {
		request.InitialState = herder.TargetState(strings.ToUpper(*state))
		if !slices.Contains([]herder.TargetState{herder.TargetRunning, herder.TargetPaused, herder.TargetStopped}, request.InitialState) {
			return request, badRequest("initial_state must be RUNNING, PAUSED or STOPPED")
		}
	}
	if given := members["initial_offsets"]; given != nil && !isNull(given) {
		if request.InitialOffsets, err = offsetList(given, "initial_offsets"); err != nil {
			return request, err
		}
	}
	return request, nil
}

// configuration reads a connector's configuration. The connector's name is part of
// it, whether it is given or not.
func configuration(value []byte, name string) (map[string]string, error) {
	read, err := texts(value, "The configuration")
	if err != nil {
		return nil, err
	}
	config := make(map[string]string, len(read)+1)
	for key, value := range read {
		switch {
		case value != nil:
			config[key] = *value
		case key != "name":
			return nil, invalidConfig("Null value can not be supplied as the configuration value.")
		}
	}
	if other, given := config["name"]; given && other != name {
		return nil, badRequest("Connector name configuration (%s) doesn't match connector name in the URL (%s)", shorten(other), shorten(name))
	}
	config["name"] = name
	return config, nil
}

func (s *Server) connector(c *call) (answer, error) {
	info, err := s.api.Connector(c.r.Context(), c.name())
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusOK, body: whole(info)}, nil
}

func (s *Server) config(c *call) (answer, error) {
	info, err := s.api.Connector(c.r.Context(), c.name())
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusOK, body: whole(info).Config}, nil
}

func (s *Server) putConfig(c *call) (answer, error) {
	body, err := decode(c.w, c.r)
	if err != nil {
		return answer{}, err
	}
	config, err := configuration(body, c.name())
	if err != nil {
		return answer{}, err
	}
	info, isNew, err := s.api.PutConfig(c.r.Context(), c.name(), config)
	switch {
	case err != nil:
		return answer{}, err
	case isNew:
		return created(info), nil
	}
	return answer{status: http.StatusOK, body: whole(info)}, nil
}

func (s *Server) patchConfig(c *call) (answer, error) {
	body, err := decode(c.w, c.r)
	if err != nil {
		return answer{}, err
	}
	changes, err := texts(body, "The changes of the configuration")
	if err != nil {
		return answer{}, err
	}
	info, err := s.api.PatchConfig(c.r.Context(), c.name(), changes)
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusOK, body: whole(info)}, nil
}

func (s *Server) remove(c *call) (answer, error) {
	return answer{status: http.StatusNoContent}, s.api.Delete(c.r.Context(), c.name())
}

func (s *Server) status(c *call) (answer, error) {
	status, err := s.api.Status(c.r.Context(), c.name())
	status.Tasks = list(status.Tasks)
	return answer{status: http.StatusOK, body: status}, err
}

func (s *Server) tasks(c *call) (answer, error) {
	tasks, err := s.api.Tasks(c.r.Context(), c.name())
	return answer{status: http.StatusOK, body: list(tasks)}, err
}

func (s *Server) taskStatus(c *call) (answer, error) {
	task, err := c.task()
	if err != nil {
		return answer{}, err
	}
	status, err := s.api.TaskStatus(c.r.Context(), c.name(), task)
	return answer{status: http.StatusOK, body: status}, err
}
