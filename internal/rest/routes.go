package rest

import "net/http"

const (
	get    = http.MethodGet
	put    = http.MethodPut
	post   = http.MethodPost
	patch  = http.MethodPatch
	remove = http.MethodDelete
)

// table is Kafka Connect's REST interface, without the paths by which its workers
// talk to each other; ours do so through Kafka.
var table = map[string]methods{
	"/":             {get: {serve: (*Server).info}},
	"/health":       {get: {serve: (*Server).health}},
	"/health/live":  {get: {serve: (*Server).live}},
	"/health/ready": {get: {serve: (*Server).ready}},

	"/connectors":                             {get: {serve: (*Server).connectors}, post: {serve: (*Server).create, body: true}},
	"/connectors/{name}":                      {get: {serve: (*Server).connector}, remove: {serve: (*Server).remove}},
	"/connectors/{name}/config":               {get: {serve: (*Server).config}, put: {serve: (*Server).putConfig, body: true}, patch: {serve: (*Server).patchConfig, body: true}},
	"/connectors/{name}/status":               {get: {serve: (*Server).status}},
	"/connectors/{name}/restart":              {post: {serve: (*Server).restart}},
	"/connectors/{name}/pause":                {put: {serve: (*Server).pause}},
	"/connectors/{name}/resume":               {put: {serve: (*Server).resume}},
	"/connectors/{name}/stop":                 {put: {serve: (*Server).stop}},
	"/connectors/{name}/tasks":                {get: {serve: (*Server).tasks}},
	"/connectors/{name}/tasks/{task}/status":  {get: {serve: (*Server).taskStatus}},
	"/connectors/{name}/tasks/{task}/restart": {post: {serve: (*Server).restartTask}},
	"/connectors/{name}/topics":               {get: {serve: (*Server).topics}},
	"/connectors/{name}/topics/reset":         {put: {serve: (*Server).resetTopics}},
	"/connectors/{name}/offsets": {
		get: {serve: (*Server).offsets}, patch: {serve: (*Server).alterOffsets, body: true}, remove: {serve: (*Server).resetOffsets},
	},

	"/connector-plugins":                        {get: {serve: (*Server).plugins}},
	"/connector-plugins/{name}/config":          {get: {serve: (*Server).pluginConfig}},
	"/connector-plugins/{name}/config/validate": {put: {serve: (*Server).validate, body: true}},

	"/admin/loggers":        {get: {serve: (*Server).loggers}},
	"/admin/loggers/{name}": {get: {serve: (*Server).logger}, put: {serve: (*Server).setLogger, body: true}},
}
