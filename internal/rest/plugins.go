package rest

import (
	"net/http"
	"strings"

	"github.com/kudu2kafka/kudu2kafka/internal/herder"
)

func (s *Server) plugins(c *call) (answer, error) {
	plugins := s.api.Plugins(c.r.Context(), c.flag("connectorsOnly", true))
	return answer{status: http.StatusOK, body: list(plugins)}, nil
}

func (s *Server) pluginConfig(c *call) (answer, error) {
	keys, err := s.api.PluginConfig(c.r.Context(), c.name())
	for i := range keys {
		keys[i].Dependents = list(keys[i].Dependents)
	}
	return answer{status: http.StatusOK, body: list(keys)}, err
}

func (s *Server) validate(c *call) (answer, error) {
	body, err := decode(c.w, c.r)
	if err != nil {
		return answer{}, err
	}
	read, err := texts(body, "The configuration")
	if err != nil {
		return answer{}, err
	}
	config := make(map[string]string, len(read))
	for key, value := range read {
		if value != nil { // null is the same as nothing
			config[key] = *value
		}
	}
	infos, err := s.api.Validate(c.r.Context(), c.name(), config)
	if err != nil {
		return answer{}, err
	}
	infos.Groups, infos.Configs = list(infos.Groups), list(infos.Configs)
	for i := range infos.Configs {
		info := &infos.Configs[i]
		info.Definition.Dependents = list(info.Definition.Dependents)
		info.Value.RecommendedValues, info.Value.Errors = list(info.Value.RecommendedValues), list(info.Value.Errors)
	}
	return answer{status: http.StatusOK, body: infos}, nil
}

func (s *Server) loggers(c *call) (answer, error) {
	levels := s.api.Loggers(c.r.Context())
	if levels == nil {
		levels = map[string]herder.LoggerLevel{}
	}
	return answer{status: http.StatusOK, body: levels}, nil
}

func (s *Server) logger(c *call) (answer, error) {
	level, err := s.api.Logger(c.r.Context(), c.name())
	return answer{status: http.StatusOK, body: level}, err
}

// setLogger tells what was touched if that is on this worker only.
func (s *Server) setLogger(c *call) (answer, error) {
	body, err := decode(c.w, c.r)
	if err != nil {
		return answer{}, err
	}
	members, err := texts(body, "The request")
	if err != nil {
		return answer{}, err
	}
	level := members["level"]
	if level == nil {
		return answer{}, badRequest("Desired 'level' parameter was not specified in request.")
	}
	cluster := strings.EqualFold(c.query().Get("scope"), "cluster")
	touched, err := s.api.SetLogger(c.r.Context(), c.name(), *level, cluster)
	if cluster {
		return answer{status: http.StatusNoContent}, err
	}
	return answer{status: http.StatusOK, body: list(touched)}, err
}
