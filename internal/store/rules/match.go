package rules

import "rialto/internal/mapi"

// Match is a condition in words; all that is given has to hold, whatever the
// case.
type Match struct {
	From    string // the sender's address
	Subject string // within the subject
	Body    string // within the text
}

// Condition returns the match as a restriction; of an empty one nil, which
// always holds.
func (m Match) Condition() mapi.Restriction {
	var all mapi.And
	add := func(tag mapi.Tag, s string, match mapi.Match) {
		if s != "" {
			all = append(all, &mapi.Content{Tag: tag, Match: match, Fold: mapi.IgnoreCase, Value: s})
		}
	}
	add(mapi.TagSenderAddress, m.From, mapi.FullString)
	add(mapi.TagSubject, m.Subject, mapi.Substring)
	add(mapi.TagBody, m.Body, mapi.Substring)
	if all == nil {
		return nil
	}
	return all
}
