package app

import "fmt"

// File is the applications of one file.
type File struct {
	Name string
	Apps []Application
}

// CheckSet joins the applications of several files, in their order. Of two with
// the same id the first one stays and the other is a problem that names both
// files.
func CheckSet(files []File) ([]Application, []Problem) {
	var apps []Application
	var problems []Problem
	owner := map[string]string{}
	for _, file := range files {
		for _, a := range file.Apps {
			first, taken := owner[a.ID]
			if !taken {
				owner[a.ID] = file.Name
				apps = append(apps, a)
				continue
			}
			where := "in " + first
			if first == file.Name {
				where = "before it in this file"
			}
			problems = append(problems, Problem{
				File: file.Name, App: a.ID, Field: "id", Value: a.ID,
				Message:    fmt.Sprintf("the id is taken by the application %s", clean(where)),
				Suggestion: "ids are unique; only the first one is used",
			})
		}
	}
	return apps, problems
}
