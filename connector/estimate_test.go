package connector

import "testing"

func TestSizeOfTheTableIsToldWhereAllOfItsRowsArePublished(t *testing.T) {
	s := newStack(t)
	s.insert(300)
	i := s.instance(2)
	w := s.work(true, i.cfg)
	s.awaitStatus(w, "the table's size", func(one Status) bool { return one.TableRows == 300 })

	for name, change := range map[string]func(*Config){
		"mode sweep":        func(c *Config) { c.Mode = modeSweep },
		"where":             func(c *Config) { c.Where = "id > 1" },
		"from the latest":   func(c *Config) { c.OffsetStart = "latest" },
		"from given values": func(c *Config) { c.OffsetStartValues = map[string]string{"id": "2"} },
	} {
		changed := i.cfg
		if change(&changed); publishesAll(changed) {
			t.Errorf("%s: all rows are said to be published", name)
		}
	}
}
