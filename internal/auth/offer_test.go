package auth

import (
	"slices"
	"testing"
)

func TestOfferOr(t *testing.T) {
	a := New(nil)
	if got := a.OfferOr(nil).Names(true); !slices.Equal(got, []string{"PLAIN", "LOGIN"}) {
		t.Errorf("without an offer: %v", got)
	}
	if got := a.OfferOr(Offer{{Name: "GSSAPI"}}).Names(true); !slices.Equal(got, []string{"GSSAPI"}) {
		t.Errorf("with one: %v", got)
	}
	if got := a.OfferOr(Offer{}); len(got) != 0 {
		t.Errorf("an empty offer became %v", got.Names(true))
	}
}
