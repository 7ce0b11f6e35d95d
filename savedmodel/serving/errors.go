package serving

import (
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func invalid(format string, args ...any) error {
	return status.Errorf(codes.InvalidArgument, format, args...)
}

func unimplemented(format string, args ...any) error {
	return status.Errorf(codes.Unimplemented, format, args...)
}

// asInvalid gives an error without a state that of a wrong request, behind a
// prefix as TensorFlow Serving nests its messages.
func asInvalid(err error, prefix string) error {
	if s, ok := status.FromError(err); ok {
		if prefix == "" {
			return err
		}
		return status.Error(s.Code(), prefix+s.Message())
	}
	return status.Error(codes.InvalidArgument, prefix+fmt.Sprint(err))
}
