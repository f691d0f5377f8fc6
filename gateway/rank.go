package gateway

import "edgerouter/router"

// rankOf is the rank of a source's applications. A source that is not known by
// name is one that whoever runs the edge has put in.
func rankOf(source string) router.Rank {
	switch source {
	case "stream":
		return router.RankStream
	case "docker":
		return router.RankDocker
	case "s3":
		return router.RankS3
	}
	return router.RankFile
}
