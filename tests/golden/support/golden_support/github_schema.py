"""The part of GitHub's GraphQL schema that the frozen repository answers, after the published one."""

from __future__ import annotations

from typing import Final

SCHEMA: Final = """
scalar DateTime
scalar URI
scalar GitObjectID
interface Node { id: ID! }
interface GitObject { id: ID! oid: GitObjectID! }
union SearchResultItem = PullRequest | Repository
enum SearchType { ISSUE REPOSITORY USER DISCUSSION ISSUE_ADVANCED }
enum PullRequestState { CLOSED MERGED OPEN }
enum OrderDirection { ASC DESC }
enum IssueOrderField { COMMENTS CREATED_AT UPDATED_AT }
enum WorkflowRunOrderField { CREATED_AT }
enum LabelOrderField { CREATED_AT NAME }
enum RepositoryOrderField { CREATED_AT NAME PUSHED_AT STARGAZERS UPDATED_AT }
input IssueOrder { field: IssueOrderField! direction: OrderDirection! }
input WorkflowRunOrder { field: WorkflowRunOrderField! direction: OrderDirection! }
input LabelOrder { field: LabelOrderField! direction: OrderDirection! }
type Query {
  viewer: User!
  rateLimit(dryRun: Boolean): RateLimit
  node(id: ID!): Node
  nodes(ids: [ID!]!): [Node]!
  repository(owner: String!, name: String!, followRenames: Boolean): Repository
  search(query: String!, type: SearchType!, first: Int, after: String, last: Int, before: String):
    SearchResultItemConnection!
}
type User { login: String! }
type RateLimit { limit: Int! cost: Int! remaining: Int! used: Int! resetAt: DateTime! nodeCount: Int }
type PageInfo { hasNextPage: Boolean! hasPreviousPage: Boolean! startCursor: String endCursor: String }
type SearchResultItemConnection {
  issueCount: Int! nodes: [SearchResultItem] edges: [SearchResultItemEdge] pageInfo: PageInfo!
}
type SearchResultItemEdge { cursor: String! node: SearchResultItem }
type Repository implements Node {
  id: ID! databaseId: Int name: String! nameWithOwner: String! url: URI! isPrivate: Boolean! isArchived: Boolean!
  viewerPermission: String
  defaultBranchRef: Ref
  ref(qualifiedName: String!): Ref
  object(expression: String, oid: GitObjectID): GitObject
  label(name: String!): Label
  labels(first: Int, after: String, last: Int, before: String, query: String, orderBy: LabelOrder): LabelConnection
  pullRequests(first: Int, after: String, last: Int, before: String, labels: [String!], states: [PullRequestState!],
    baseRefName: String, headRefName: String, orderBy: IssueOrder): PullRequestConnection!
}
type Ref implements Node { id: ID! name: String! prefix: String! target: GitObject }
type Commit implements GitObject & Node { id: ID! oid: GitObjectID! }
type Tree implements GitObject & Node { id: ID! oid: GitObjectID! entries: [TreeEntry!] }
type TreeEntry { name: String! path: String type: String! extension: String object: GitObject }
type Label implements Node { id: ID! name: String! }
type LabelConnection { nodes: [Label] edges: [LabelEdge] pageInfo: PageInfo! totalCount: Int! }
type LabelEdge { cursor: String! node: Label }
type PullRequest implements Node {
  id: ID! number: Int! title: String! url: URI! state: PullRequestState! merged: Boolean!
  createdAt: DateTime! updatedAt: DateTime! mergedAt: DateTime baseRefName: String!
  labels(first: Int, after: String, last: Int, before: String): LabelConnection
}
type PullRequestConnection { nodes: [PullRequest] edges: [PullRequestEdge] pageInfo: PageInfo! totalCount: Int! }
type PullRequestEdge { cursor: String! node: PullRequest }
type Workflow implements Node {
  id: ID! databaseId: Int name: String! state: String! url: URI! resourcePath: URI!
  createdAt: DateTime! updatedAt: DateTime!
  runs(first: Int, after: String, last: Int, before: String, orderBy: WorkflowRunOrder): WorkflowRunConnection!
}
type WorkflowRunConnection { nodes: [WorkflowRun] edges: [WorkflowRunEdge] pageInfo: PageInfo! totalCount: Int! }
type WorkflowRunEdge { cursor: String! node: WorkflowRun }
type WorkflowRunFile { path: String! }
type WorkflowRun implements Node {
  id: ID! databaseId: Int resourcePath: URI! url: URI! runNumber: Int! event: String! createdAt: DateTime!
  updatedAt: DateTime! file: WorkflowRunFile workflow: Workflow! checkSuite: CheckSuite!
}
type CheckSuite implements Node {
  id: ID! status: String! conclusion: String branch: Ref createdAt: DateTime! updatedAt: DateTime!
  workflowRun: WorkflowRun
}
"""
