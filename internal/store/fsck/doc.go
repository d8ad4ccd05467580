// Package fsck checks, repairs and shows databases of the information store,
// from their rows.
//
// A check (Verify) runs beside everybody else. Each invariant is one between few
// rows and is judged on the snapshot that the row came from; what is larger than
// a snapshot may live is added up in parts, and again if it changed meanwhile.
// It writes nothing.
//
// A repair (Repair) works on a copy that nobody has open. What is derived
// (indexes, counts, logs, references) is made again from what is true (folders,
// states, summaries and what hangs on items); what is lost is named, as far as
// anything is left that names it. It may be repeated.
//
// The package knows rows (package layout) and content, not open mailboxes: what
// it asks of those is Boxes. A lock of a mailbox is taken only there, with none
// held.
package fsck
