// Package fulltext is the search index of mailboxes. It answers substring
// searches exactly as IMAP means them (RFC 9051 6.4.4) and ranked searches for
// words in several languages.
//
// # What is kept
//
// Text is cut into words: the longest runs of letters, or of digits, in lower
// case. Of each run of items there is a sorted dictionary of words per field,
// and for each word the list of items that have it. A substring is found by
// looking through the dictionary, which is far smaller than the mail: whatever
// lies within one word is then known for sure; of a phrase the items that may
// have it are known, and the caller looks. Stems are not kept: the words that
// share one with a word of a query are found in the dictionary, so that
// languages are a matter of the query.
//
// What is no word in any language (base64, identifiers, long numbers) and the
// scripts without spaces are kept as overlapping pieces of three or two
// characters instead, which bounds the dictionary.
//
// Rows are below the derived space 1 of a mailbox (store.Derived):
//
//	00                        manifest: position in the log, the runs
//	01 run4 00 chunk4         items of a run, by row id
//	01 run4 01 field1 block4  dictionary
//	01 run4 02 block4         lists of items
//
// Every row ends with a checksum over the key, the generation of the index and
// the content, and the manifest says how many rows there are of each kind:
// damage and loss are noticed by whoever reads, who then has no index until it
// is built again. So is an index of another version.
//
// # Invariants
//
// A run never changes; the manifest that names it is committed with its last
// row, and rows of runs that it does not name are dropped by the next feeding.
// Runs of like size are merged, and items that were purged left out. An item
// stands in at most one run with its (row id, OID); an item of which that can
// not be said is one that the index knows nothing of, and always a candidate.
// Everything comes from the log of the mailbox, in its order, from the position
// in the manifest on: after a power cut the work since is done again.
//
// Lock order: entry.feeding (one writer of a mailbox's index; held for one step),
// then Indexes.mu (looking up only). Readers take no lock of the mailbox.
package fulltext
