package logs

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
)

func TestLevelOfANameCountsForAllItsLoggers(t *testing.T) {
	var out strings.Builder
	levels, logger := New(hclog.New(&hclog.LoggerOptions{Name: "app", Level: hclog.Info, Output: &out, DisableTime: true}))
	kafka, task := logger.Named("kafka"), logger.With("task", 3)
	said := func(f func()) string {
		out.Reset()
		f()
		return out.String()
	}
	if got := said(func() { kafka.Debug("hidden"); kafka.Info("shown"); task.Log(hclog.Debug, "hidden") }); got != "[INFO]  app.kafka: shown\n" {
		t.Errorf("said %q", got)
	}
	touched, err := levels.Set("app.kafka", "debug")
	if err != nil || !slices.Equal(touched, []string{"app.kafka"}) {
		t.Errorf("touched %v, %v", touched, err)
	}
	if !kafka.IsDebug() || kafka.IsTrace() || task.IsDebug() || kafka.GetLevel() != hclog.Debug {
		t.Error("the level of one name counts for another, or not for its own")
	}
	if got := said(func() { kafka.With("a", 1).Debug("shown") }); got != "[DEBUG] app.kafka: shown: a=1\n" {
		t.Errorf("said %q", got)
	}
	// One that is named later begins with the level of what it is below.
	if client := kafka.Named("client"); !client.IsDebug() {
		t.Error("a new logger doesn't take the level from above")
	}
	if touched, err = levels.Set("app.kafka", "Debug"); err != nil || len(touched) != 0 {
		t.Errorf("a level that was there touches %v, %v", touched, err)
	}
	if touched, err = levels.Set("ROOT", "ERROR"); err != nil || !slices.Equal(touched, []string{"app", "app.kafka", "app.kafka.client"}) {
		t.Errorf("touched %v, %v", touched, err)
	}
	if got := said(func() { kafka.Warn("hidden"); task.Error("shown") }); got != "[ERROR] app: shown: task=3\n" {
		t.Errorf("said %q", got)
	}
	if _, err = levels.Set("app", "off"); err != nil || task.IsError() {
		t.Errorf("off lets errors through, %v", err)
	}
	if got := levels.All(); got["app"].Level != "OFF" || got["app"].Modified.IsZero() || got[Root] != got["app"] || len(got) != 4 {
		t.Errorf("levels are %v", got)
	}
	if _, err := levels.Set("app", "loud"); !errors.Is(err, ErrLevel) {
		t.Errorf("got %v", err)
	}
	if touched, err := levels.Set("app.rest", "trace"); err != nil || !logger.Named("rest").IsTrace() {
		t.Errorf("touched %v, %v", touched, err)
	}
}
