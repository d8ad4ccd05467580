package smtp

import (
	"context"
	"testing"

	"rialto/internal/auth"
	"rialto/internal/kv/memory"
)

func loginAs(user string) *auth.PasswordClient {
	return &auth.PasswordClient{Mechanism: "LOGIN", User: user, Password: "pw"}
}

// restart stops the site's server and transport and starts them on the same
// queue.
func (s *site) restart(t *testing.T) {
	t.Helper()
	s.srv.Shutdown(context.Background())
	if err := s.tr.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	db, err := s.queue.(*memory.DB).Reopen()
	if err != nil {
		t.Fatal(err)
	}
	s.queue, s.opt.Queue = db, db
	s.start()
}
