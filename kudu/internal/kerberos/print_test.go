package kerberos

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/kudu2kafka/kudu2kafka/kudu/secret"
)

func TestPasswordsAndKeysAreNotPrinted(t *testing.T) {
	l := holding(t, serviceKeys(t, aes256), aes256)
	session, _, err := l.Begin(t.Context(), testHost)
	if err != nil {
		t.Fatal(err)
	}
	held := l.services[testHost]
	l.cfg.Password = secret.New("hunter2")
	key := held.key.KeyValue
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		for _, v := range []any{l.cfg, &l.cfg, l, held, []*ticket{held}, session, session.context, l.identity} {
			text := fmt.Sprintf(verb, v)
			for _, form := range []string{
				"hunter2", hex.EncodeToString([]byte("hunter2")), hex.EncodeToString(key), string(key),
				strings.Trim(fmt.Sprint(key), "[]"), strings.TrimSuffix(strings.TrimPrefix(fmt.Sprintf("%#v", key), "[]byte{"), "}"),
			} {
				if strings.Contains(text, form) {
					t.Errorf("%s of a %T prints %s", verb, v, text)
				}
			}
		}
	}
	if text := fmt.Sprintf("%+v", l.cfg); !strings.Contains(text, "Principal:alice Keytab: Password:***") {
		t.Errorf("printed is %s", text)
	}
}
