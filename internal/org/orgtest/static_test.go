package orgtest

import (
	"testing"

	"rialto/internal/model"
	"rialto/internal/org"
)

func TestStatic(t *testing.T) {
	a := &org.Recipient{GUID: model.NewGUID(), Primary: model.Address{Local: "Al", Domain: "x.test"}, Addresses: []model.Address{{Local: "al2", Domain: "x.test"}}}
	g := &org.Recipient{GUID: model.NewGUID(), Kind: org.Group}
	s := &Static{Groups: map[model.GUID][]model.GUID{g.GUID: {a.GUID, model.NewGUID()}}}
	s.Add(a, g)
	for _, local := range []string{"al", "AL2"} {
		if r, err := s.Resolve(t.Context(), model.Address{Local: local, Domain: "x.test"}); err != nil || r != a {
			t.Errorf("%s: %v, %v", local, r, err)
		}
	}
	if m, err := s.Members(t.Context(), g.GUID); err != nil || len(m) != 1 || m[0] != a {
		t.Errorf("members %v, %v", m, err)
	}
	if _, err := s.Recipient(t.Context(), model.NewGUID()); !model.IsKind(err, model.KindNotFound) {
		t.Error(err)
	}
	b := &org.Recipient{GUID: model.NewGUID(), Primary: model.Address{Local: "b", Domain: "x.test"}}
	s.Add(b)
	if r, err := s.Resolve(t.Context(), b.Primary); err != nil || r != b {
		t.Errorf("added later: %v", err)
	}
	s.Down = func() bool { return true }
	if _, err := s.Resolve(t.Context(), b.Primary); !model.IsKind(err, model.KindUnavailable) {
		t.Error(err)
	}
}
