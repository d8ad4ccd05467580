// Package folderindex keeps in memory what lists and searches ask of the items of
// folders that were read lately: briefs of their states and, once a reader went
// through the rows of a piece of a folder, values of their summaries.
//
// An index is a pure function of a folder's rows, and every change of those ticks
// the folder's Counts.Seq in the same batch: a reader may use the index whose
// counts are those of its own snapshot, and no other. So nothing is ever shown
// that the snapshot does not hold. What a power cut takes back goes with the
// database, whose Cache must not outlive it.
//
// Columns rest on another rule: a summary is written with its state row and with
// no other. What holds for a chunk of entries holds for its columns, and states
// that share the one share the others.
//
// One reader makes an index and the others of its folder wait for it. Cache.mu is
// held for looking up and counting only, and nothing is called under it.
// Who may read a folder is not known here: the caller has asked.
package folderindex
