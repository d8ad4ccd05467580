package auth

// OfferOr returns what a head offers: o if it was given one, otherwise the
// mechanisms that carry a password.
func (a *Authenticator) OfferOr(o Offer) Offer {
	if o != nil {
		return o
	}
	return a.Passwords()
}
