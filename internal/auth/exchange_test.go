package auth

import (
	"context"
	"errors"
	"io"
	"slices"
	"testing"

	"rialto/internal/model"
)

// parting succeeds at once, with something left to say.
type parting struct{}

func (parting) Next(context.Context, []byte) ([]byte, *Account, error) {
	return []byte("v=sig"), &Account{Name: "alice"}, nil
}

func TestExchange(t *testing.T) {
	text := func(s string) *string { return &s }
	kind := func(k model.Kind) func(error) bool { return func(err error) bool { return model.IsKind(err, k) } }
	is := func(want error) func(error) bool { return func(err error) bool { return errors.Is(err, want) } }
	alice, guess := EncodeChallenge([]byte("\x00alice\x00pw1")), EncodeChallenge([]byte("\x00alice\x00bad"))
	for name, c := range map[string]struct {
		mech    string
		initial *string
		answers []string // the connection breaks behind the last
		asked   []string
		fails   func(error) bool // nil: alice signs in
	}{
		"initial response":   {mech: "PLAIN", initial: &alice},
		"asked":              {mech: "PLAIN", answers: []string{alice}, asked: []string{""}},
		"two prompts":        {mech: "LOGIN", answers: []string{"YWxpY2U=", "cHcx"}, asked: []string{"VXNlcm5hbWU6", "UGFzc3dvcmQ6"}},
		"wrong password":     {mech: "PLAIN", initial: &guess, fails: kind(model.KindAuth)},
		"no response at all": {mech: "PLAIN", initial: text("="), fails: kind(model.KindInvalid)},
		"cancelled":          {mech: "PLAIN", answers: []string{"*"}, asked: []string{""}, fails: is(ErrSASLCancelled)},
		"bad initial":        {mech: "PLAIN", initial: text("?"), fails: is(ErrSASLEncoding)},
		"bad answer":         {mech: "LOGIN", initial: text("YWxpY2U="), answers: []string{"?"}, asked: []string{"UGFzc3dvcmQ6"}, fails: is(ErrSASLEncoding)},
		"broken":             {mech: "LOGIN", asked: []string{"VXNlcm5hbWU6"}, fails: is(io.ErrUnexpectedEOF)},
	} {
		t.Run(name, func(t *testing.T) {
			a, _, _ := setup(t)
			m, err := a.Passwords().Start(c.mech, Peer{Addr: far}, true)
			if err != nil {
				t.Fatal(err)
			}
			acct, asked, err := exchange(t, m, c.initial, c.answers)
			if !slices.Equal(asked, c.asked) {
				t.Errorf("asked %q, want %q", asked, c.asked)
			}
			if c.fails == nil && (err != nil || acct == nil || acct.Name != "alice") || c.fails != nil && (!c.fails(err) || acct != nil) {
				t.Errorf("%v, %v", acct, err)
			}
		})
	}
}

// TestExchangeParting delivers additional data before the success.
func TestExchangeParting(t *testing.T) {
	acct, asked, err := exchange(t, parting{}, nil, []string{""})
	if err != nil || acct == nil || !slices.Equal(asked, []string{EncodeChallenge([]byte("v=sig"))}) {
		t.Errorf("%v, %q, %v", acct, asked, err)
	}
	if acct, _, err := exchange(t, parting{}, nil, []string{"*"}); acct != nil || !errors.Is(err, ErrSASLCancelled) {
		t.Errorf("cancelled at the end: %v, %v", acct, err)
	}
}

func exchange(t *testing.T, m Mechanism, initial *string, answers []string) (acct *Account, asked []string, err error) {
	acct, err = Exchange(t.Context(), m, initial, func(challenge string) (string, error) {
		asked = append(asked, challenge)
		if len(answers) == 0 {
			return "", io.ErrUnexpectedEOF
		}
		a := answers[0]
		answers = answers[1:]
		return a, nil
	})
	return acct, asked, err
}
