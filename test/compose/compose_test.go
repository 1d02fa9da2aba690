package compose

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const root = "../.."

// project is what of docker-compose.yml is looked at here. run.sh has Compose itself
// look at all of it.
type project struct {
	Name     string             `yaml:"name"`
	Services map[string]service `yaml:"services"`
	Volumes  map[string]any     `yaml:"volumes"`
}

type service struct {
	Image       string         `yaml:"image"`
	Build       *build         `yaml:"build"`
	Profiles    []string       `yaml:"profiles"`
	Command     []string       `yaml:"command"`
	MemLimit    string         `yaml:"mem_limit"`
	Restart     string         `yaml:"restart"`
	User        string         `yaml:"user"`
	ReadOnly    bool           `yaml:"read_only"`
	CapDrop     []string       `yaml:"cap_drop"`
	SecurityOpt []string       `yaml:"security_opt"`
	Privileged  bool           `yaml:"privileged"`
	Ports       []string       `yaml:"ports"`
	Volumes     []string       `yaml:"volumes"`
	Environment map[string]any `yaml:"environment"`
	Healthcheck *struct {
		Test []string `yaml:"test"`
	} `yaml:"healthcheck"`
	DependsOn map[string]struct {
		Condition string `yaml:"condition"`
		Required  *bool  `yaml:"required"`
	} `yaml:"depends_on"`
}

type build struct {
	Context string `yaml:"context"`
	Target  string `yaml:"target"`
}

func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func load(t *testing.T) project {
	t.Helper()
	var p project
	if err := yaml.Unmarshal([]byte(read(t, "docker-compose.yml")), &p); err != nil {
		t.Fatal(err)
	}
	if len(p.Services) < 8 {
		t.Fatalf("only %d services were read", len(p.Services))
	}
	return p
}

// each runs a test for each service.
func each(t *testing.T, look func(t *testing.T, name string, s service)) {
	t.Helper()
	p := load(t)
	for _, name := range slices.Sorted(maps.Keys(p.Services)) {
		t.Run(name, func(t *testing.T) { look(t, name, p.Services[name]) })
	}
}

func TestEveryServiceIsBounded(t *testing.T) {
	each(t, func(t *testing.T, _ string, s service) {
		if !regexp.MustCompile(`^[1-9][0-9]*[mg]$`).MatchString(s.MemLimit) {
			t.Errorf("mem_limit is %q", s.MemLimit)
		}
		if s.Restart == "" {
			t.Error("restart isn't said")
		}
		if s.Privileged {
			t.Error("it is privileged")
		}
	})
}

func TestImagesOfOthersArePinnedAndOursAreBuilt(t *testing.T) {
	pinned := regexp.MustCompile(`^[a-z0-9./-]+:v?[0-9]+\.[0-9]+\.[0-9]+$`)
	dockerfile := read(t, "Dockerfile")
	each(t, func(t *testing.T, _ string, s service) {
		switch {
		case s.Build == nil && !pinned.MatchString(s.Image):
			t.Errorf("image %q has no whole version", s.Image)
		case s.Build != nil && !strings.HasPrefix(s.Image, "kudu2kafka"):
			t.Errorf("what is built is called %q", s.Image)
		case s.Build != nil && !strings.Contains(dockerfile, " AS "+s.Build.Target+"\n"):
			t.Errorf("the Dockerfile has no stage %q", s.Build.Target)
		}
	})
}

func TestOurContainersCanDoNothingButTheirWork(t *testing.T) {
	ours := 0
	each(t, func(t *testing.T, _ string, s service) {
		if s.Build == nil {
			return
		}
		ours++
		if !s.ReadOnly {
			t.Error("its root can be written to")
		}
		if !regexp.MustCompile(`^\$\{KUDU2KAFKA_USER:-[1-9][0-9]*:[1-9][0-9]*\}$`).MatchString(s.User) {
			t.Errorf("it runs as %q", s.User)
		}
		if !slices.Equal(s.CapDrop, []string{"ALL"}) || !slices.Equal(s.SecurityOpt, []string{"no-new-privileges:true"}) {
			t.Errorf("it keeps capabilities: cap_drop %v, security_opt %v", s.CapDrop, s.SecurityOpt)
		}
	})
	if ours != 3 {
		t.Errorf("%d services are ours, want 3", ours)
	}
}

func TestPortsAreBoundToLoopback(t *testing.T) {
	port := regexp.MustCompile(`^127\.0\.0\.1:\$\{[A-Z0-9]+_PORT:-[0-9]+\}:[0-9]+$`)
	published := 0
	each(t, func(t *testing.T, _ string, s service) {
		for _, p := range s.Ports {
			published++
			if !port.MatchString(p) {
				t.Errorf("port %q is not 127.0.0.1:${NAME_PORT:-number}:number", p)
			}
		}
	})
	if published == 0 {
		t.Error("no port was found")
	}
}

func TestWhatIsMountedIsThere(t *testing.T) {
	p := load(t)
	used := map[string]bool{}
	mounted := 0
	each(t, func(t *testing.T, _ string, s service) {
		for _, v := range s.Volumes {
			from, to, _ := strings.Cut(v, ":")
			if !strings.HasPrefix(from, ".") {
				if _, is := p.Volumes[from]; !is {
					t.Errorf("volume %q isn't listed", from)
				}
				used[from] = true
				continue
			}
			mounted++
			if _, err := os.Stat(filepath.Join(root, from)); err != nil {
				t.Errorf("mounting %s: %v", v, err)
			}
			if !strings.HasSuffix(to, ":ro") {
				t.Errorf("%s can be written to", v)
			}
		}
	})
	if mounted == 0 {
		t.Error("no mounted file was found")
	}
	for name := range p.Volumes {
		if !used[name] {
			t.Errorf("volume %q has no user", name)
		}
	}
}

// What waits for a service to be healthy waits for ever if that has no health check,
// and what runs without a profile can't wait for what needs one.
func TestDependenciesCanComeAbout(t *testing.T) {
	p := load(t)
	each(t, func(t *testing.T, _ string, s service) {
		for name, d := range s.DependsOn {
			other, is := p.Services[name]
			optional := d.Required != nil && !*d.Required
			switch {
			case !is:
				t.Errorf("it waits for %q, which isn't there", name)
			case d.Condition == "service_healthy" && other.Healthcheck == nil:
				t.Errorf("it waits for the health of %q, which nobody checks", name)
			case d.Condition == "service_completed_successfully" && other.Restart != "on-failure":
				t.Errorf("it waits for the end of %q, which begins again", name)
			case !optional && len(other.Profiles) > 0 && !slices.Equal(other.Profiles, s.Profiles):
				t.Errorf("it waits for %q, which isn't always there", name)
			}
		}
		if len(s.Ports) > 0 && s.Healthcheck == nil {
			t.Error("it serves, and nobody checks its health")
		}
	})
}

func TestProfilesAreThoseThatAreDescribed(t *testing.T) {
	profiles := map[string]int{}
	for _, s := range load(t).Services {
		for _, p := range s.Profiles {
			profiles[p]++
		}
	}
	want := map[string]int{"replicated": 2, "monitoring": 2, "ui": 1}
	if !maps.Equal(profiles, want) {
		t.Errorf("services by profile are %v, want %v", profiles, want)
	}
	text := read(t, "docker-compose.yml")
	for name := range want {
		if !strings.Contains(text, fmt.Sprintf("#   %-12s ", name)) {
			t.Errorf("the head of the file doesn't describe profile %s", name)
		}
	}
}

func TestVariablesAreThoseThatAreDescribed(t *testing.T) {
	text := read(t, "docker-compose.yml")
	head, _, _ := strings.Cut(text, "\nname:")
	for _, found := range regexp.MustCompile(`\$\{([A-Z0-9_]+):-`).FindAllStringSubmatch(text, -1) {
		if !strings.Contains(head, found[1]) {
			t.Errorf("the head of the file doesn't list %s", found[1])
		}
	}
}

func TestImageIsStaticAndRunsAsNobody(t *testing.T) {
	stages := strings.Split(read(t, "Dockerfile"), "\nFROM ")[1:]
	last := stages[len(stages)-1]
	for _, line := range []string{
		"scratch AS kudu2kafka\n", "\nUSER 65532:65532\n", "\nHEALTHCHECK ", `CMD ["kudu2kafka", "health"]`, `ENTRYPOINT ["kudu2kafka"]`,
		`org.opencontainers.image.version="${VERSION}"`, "STOPSIGNAL SIGTERM\n",
	} {
		if !strings.Contains(last, line) {
			t.Errorf("the last stage has no %q", line)
		}
	}
	if !strings.Contains(stages[0], "CGO_ENABLED=0") || !strings.Contains(stages[0], "-X main.version=${VERSION}") {
		t.Error("the program isn't built static, or without its version")
	}
	if !strings.Contains(stages[0], "go build -overlay ") {
		t.Error("the program isn't built with internal/overlay, as make build does")
	}
	version := regexp.MustCompile(`(?m)^go ([0-9.]+)$`).FindStringSubmatch(read(t, "go.mod"))
	if version == nil || !strings.Contains(read(t, "Dockerfile"), "ARG GO_VERSION="+version[1]+"\n") {
		t.Errorf("go.mod asks for Go %v, the Dockerfile takes another", version)
	}
}

// A package that isn't sent to the engine can't be built.
func TestBuildContextHasAllThatIsBuilt(t *testing.T) {
	kept := map[string]bool{}
	for line := range strings.Lines(read(t, ".dockerignore")) {
		if name, is := strings.CutPrefix(strings.TrimSpace(line), "!"); is {
			kept[name] = true
		}
	}
	imports := regexp.MustCompile(`"github\.com/kudu2kafka/kudu2kafka/([a-z0-9/]+)"`)
	seen := map[string]bool{}
	var visit func(folder string)
	visit = func(folder string) {
		if seen[folder] {
			return
		}
		seen[folder] = true
		top, _, _ := strings.Cut(folder, "/")
		if !kept[top] && !kept[folder] {
			t.Errorf("%s is left out by .dockerignore", folder)
		}
		files, err := filepath.Glob(filepath.Join(root, folder, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s has no files: %v", folder, err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			for _, found := range imports.FindAllStringSubmatch(read(t, strings.TrimPrefix(file, root+"/")), -1) {
				visit(found[1])
			}
		}
	}
	visit("cmd/kudu2kafka")
	visit("internal/overlay/generate")
	visit("test/sample")
	if seen["internal/testenv"] || seen["internal/archtest"] {
		t.Error("what .dockerignore leaves out is needed")
	}
	if len(seen) < 10 {
		t.Errorf("only %d packages were found", len(seen))
	}
}

func TestPrometheusAndGrafanaFindWhatIsInDeploy(t *testing.T) {
	p := load(t)
	mounts := strings.Join(append(slices.Clone(p.Services["grafana"].Volumes), p.Services["prometheus"].Volumes...), "\n")
	for _, m := range []string{
		"./deploy/prometheus:/etc/prometheus:ro", "./deploy/grafana/provisioning:/etc/grafana/provisioning:ro",
		"./deploy/grafana/kudu2kafka.json:/var/lib/grafana/dashboards/kudu2kafka.json:ro",
	} {
		if !strings.Contains(mounts, m) {
			t.Errorf("%s isn't mounted", m)
		}
	}
	if !strings.Contains(read(t, "deploy/prometheus/prometheus.yml"), `"kudu2kafka:8083"`) {
		t.Error("Prometheus asks another address than that of the service")
	}
	if !strings.Contains(read(t, "deploy/grafana/provisioning/dashboards/kudu2kafka.yml"), "path: /var/lib/grafana/dashboards\n") {
		t.Error("Grafana looks for dashboards elsewhere")
	}
	if got := p.Services["kafka-ui"].Environment["KAFKA_CLUSTERS_0_KAFKACONNECT_0_ADDRESS"]; got != "http://kudu2kafka:8083" {
		t.Errorf("the UI's Kafka Connect is %v", got)
	}
}
