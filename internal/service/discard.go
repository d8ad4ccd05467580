package service

import (
	"context"
	"log/slog"
)

// Logger returns l, or a logger that discards if l is nil.
func Logger(l *slog.Logger) *slog.Logger {
	if l == nil {
		return slog.New(slog.DiscardHandler)
	}
	return l
}

// Report gives an event of a source to a log; nil discards it.
func Report(ctx context.Context, to Log, source string, e Event) {
	if to != nil {
		e.Source = source
		to.Report(ctx, e)
	}
}
