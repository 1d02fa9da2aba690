package rest

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"

	"github.com/kudu2kafka/kudu2kafka/connector"
)

// guard knows who may use the interface.
type guard struct {
	users []credentials // empty: everybody
}

// credentials are kept as hashes, which are equally long.
type credentials struct{ name, password [sha256.Size]byte }

func newGuard(users map[string]connector.Secret) *guard {
	g := &guard{}
	for name, password := range users {
		g.users = append(g.users, credentials{sha256.Sum256([]byte(name)), sha256.Sum256([]byte(password.Reveal()))})
	}
	return g
}

// admits tells whether the request may go on. How long that takes tells nothing
// about how near a guess was.
func (g *guard) admits(r *http.Request) bool {
	if len(g.users) == 0 {
		return true
	}
	name, password, given := r.BasicAuth()
	if !given {
		return false
	}
	n, p := sha256.Sum256([]byte(name)), sha256.Sum256([]byte(password))
	admitted := 0
	for _, c := range g.users {
		admitted |= subtle.ConstantTimeCompare(n[:], c.name[:]) & subtle.ConstantTimeCompare(p[:], c.password[:])
	}
	return admitted == 1
}

// challenge refuses a request, and has browsers ask for a password.
func challenge(w http.ResponseWriter) {
	w.Header().Set("WWW-Authenticate", `Basic realm="kudu2kafka", charset="UTF-8"`)
	write(w, http.StatusUnauthorized, errorBody{http.StatusUnauthorized, "User cannot access the resource."})
}
