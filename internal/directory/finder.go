package directory

import (
	"context"

	"rialto/internal/auth"
	"rialto/internal/model"
)

// Finder finds accounts for sign-in in a directory.
type Finder struct{ Dir Directory }

var _ auth.Finder = Finder{}

// FindAccount implements auth.Finder.
func (f Finder) FindAccount(ctx context.Context, name string) (*auth.Account, error) {
	return nil, model.E("directory.finder", model.KindUnsupported, name, nil)
}
