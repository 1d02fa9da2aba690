package connector

import (
	"path/filepath"
	"regexp"
)

// providerKeys say what configurations that come by REST may read of the machine:
// without them, whoever reaches the interface could send any file of the worker's
// to a Kudu of their own, or read it in the name of a topic.
var providerKeys = []Key{
	{
		Name: "config.providers.allowed.paths", Type: TypeList, Importance: Medium, legal: allowedPathFault,
		Doc: "Files and folders, as absolute paths, that connectors made by REST may read: by references such as ${file:PATH:KEY} and ${dir:PATH:NAME}, and by keys such as kudu.kerberos.keytab. All that is below a folder may be read, but links must not lead out of what is listed. Whoever may use REST can read what is in them. Connectors of the worker's files may read anything. Default: none.",
	},
	{
		Name: "config.providers.env.allowlist.pattern", Type: TypeString, Importance: Medium, legal: patternFault,
		Doc: "Regular expression that the whole name of an environment variable has to match for connectors made by REST to refer to it by ${env:NAME}, such as KUDU_.*; whoever may use REST can read it then. Connectors of the worker's files may refer to any. Default: none may be referred to.",
	},
	// Kafka's workers have to be told.
	{Name: "config.providers", Type: TypeString, Absent: "the providers env, file and dir are always there"},
}

func allowedPathFault(path string) (what, remedy string) {
	if !filepath.IsAbs(path) {
		return "is not an absolute path", "write it from / on, such as /run/secrets/kudu2kafka"
	}
	return "", ""
}

func patternFault(pattern string) (what, remedy string) {
	if _, err := regexp.Compile(pattern); err != nil {
		return "is not a regular expression", "write one in the syntax of RE2, such as KUDU_.*"
	}
	return "", ""
}
